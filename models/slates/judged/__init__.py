"""The gate on logs that have slates: a slate is a round, its slots go down the page, and its reward is their sum."""

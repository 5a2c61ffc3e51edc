"""What this host has spent of a day's budgets, counted as it decides: the stop that no look has to come in time for."""

"""Where objects and secrets are kept: a folder or S3, one holder at a time, one owner."""

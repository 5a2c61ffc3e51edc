"""A user's own tables: Parquet, CSV, JSON rows."""

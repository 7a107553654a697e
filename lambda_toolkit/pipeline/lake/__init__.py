"""The lake as tables and views that SQL engines query: Athena by the Glue catalog, DuckDB and Spark by a script."""

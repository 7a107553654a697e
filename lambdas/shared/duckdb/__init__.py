"""DuckDB in the place of a PostgreSQL server, for a warehouse that is a file."""

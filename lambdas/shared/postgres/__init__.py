"""One connection to PostgreSQL: statements, COPY, and SQL as fragments."""

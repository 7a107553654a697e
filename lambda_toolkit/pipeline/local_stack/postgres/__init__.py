"""The local PostgreSQL server, its databases, and SQL scripts loaded into them."""

"""Everything that extract knows of PostgreSQL."""

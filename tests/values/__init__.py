"""Every type to every type with hostile values: what the pipeline stores, and what PostgreSQL does."""

"""From a database to a configuration: reads PostgreSQL's catalog, and proposes tables, a star, and their schema."""

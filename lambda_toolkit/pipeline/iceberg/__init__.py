"""The warehouse as Iceberg tables: what load published, batch by batch. Needs pyiceberg, the extra ``iceberg``."""

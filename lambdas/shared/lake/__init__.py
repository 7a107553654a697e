"""The two buckets: object keys, manifests, Parquet, and the store."""

"""``config/pipeline.toml``: read, checked, and made a deployment."""

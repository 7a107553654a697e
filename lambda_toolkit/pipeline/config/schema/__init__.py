"""Every key of ``pipeline.toml``: type, default, meaning; and the reader that checks a document by them."""

"""Change data capture: by transaction, by content, in chunks, and of deletes."""

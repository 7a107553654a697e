"""What a deployed pipeline does: its batches, freshness, logs, starts and usage, and its state in one document."""

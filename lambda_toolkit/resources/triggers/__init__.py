"""What starts functions by an event: buckets, queues, streams, topics, event patterns and URLs."""

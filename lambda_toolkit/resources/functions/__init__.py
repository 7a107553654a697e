"""The function itself: its configuration, layer, versions and releases, concurrency and asynchronous invocation."""

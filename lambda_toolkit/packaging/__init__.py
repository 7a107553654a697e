"""From a function's source and requirements to zip archives with reproducible bytes."""

"""One runnable comparison per claim."""

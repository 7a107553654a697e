"""Several functions read ranges of a table in one snapshot, and extract makes one batch of what they read."""

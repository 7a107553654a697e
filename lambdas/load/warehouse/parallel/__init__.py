"""First rows over several connections, into a table that takes the place of the empty one."""

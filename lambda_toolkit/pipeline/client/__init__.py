"""A deployed pipeline, seen and driven from outside."""

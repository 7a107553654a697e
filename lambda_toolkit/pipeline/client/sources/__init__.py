"""The source of a pipeline: its catalog, and what that means for the declaration."""

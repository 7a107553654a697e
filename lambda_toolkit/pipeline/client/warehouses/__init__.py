"""The warehouse of a pipeline, reached from here or by the function ``access``."""

"""Transform on real Spark, in local mode: ``make spark``."""

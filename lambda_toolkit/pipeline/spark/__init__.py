"""Transform on Spark: what a job needs, the engines that run it, and the judgement of what it did."""

"""The function `access`: it reaches the databases from inside their network, for the commands.

It runs on AWS, and its package has these modules and those that they import: what a command does with a database where
it can reach it, the function does with the same code. So it is no step of the pipeline, and not in ``lambdas/``.
"""

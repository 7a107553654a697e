"""Mutation testing of the whole code: ``python -m tests.mutants`` (``make mutants``); docs/mutants.md explains it."""

"""Breaks each component of a running pipeline, and repairs it with the commands of the runbook: `make drill`."""

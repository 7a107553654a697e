"""Functions that run: deployed ones are invoked and their logs read, others run on this machine from their package."""

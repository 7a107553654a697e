"""The requests and results of the functions, which functions and commands share."""

"""Plans, which only read from AWS, and their execution."""

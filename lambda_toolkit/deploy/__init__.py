"""Plans made by reading, and their execution."""

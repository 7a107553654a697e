"""The local stack: a real PostgreSQL, an emulated AWS, its alarm evaluator and mail sink, and totesys-shaped data."""

"""The embedded stack: a real PostgreSQL, an emulated AWS, its clock and inbox, and totesys-shaped data."""

"""totesys-shaped data for the embedded stack: made, loaded, and changed as a business would change it."""

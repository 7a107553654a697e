"""totesys-shaped data for the local stack: made, loaded, and changed as a business would change it."""

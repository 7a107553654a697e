"""SQL expressions with PostgreSQL's semantics: their tree, the closed list of functions, and the inference of types."""

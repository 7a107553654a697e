"""Random expressions over hostile rows: what transform computes, and what PostgreSQL does with the same text."""

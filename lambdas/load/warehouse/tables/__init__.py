"""The tables of the star: dimensions, facts, the versions of a row, late-arriving data."""

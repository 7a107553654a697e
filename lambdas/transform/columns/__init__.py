"""Arrow in, Arrow out: columns derived, cast and checked. Needs pyarrow alone."""

"""Everything that load knows of the warehouse."""

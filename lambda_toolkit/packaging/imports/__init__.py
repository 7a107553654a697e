"""The imports of a function's source, and what provides each: package, layer, runtime. Reads source, runs none."""

"""Whether the warehouse is as fresh as it was promised to be: compares the source with what is loaded."""

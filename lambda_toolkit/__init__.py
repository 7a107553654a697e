"""What ``Lambda_script`` is made of: specs as values, plans made by reading, and one client for all calls to AWS."""

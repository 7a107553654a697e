"""What ``Lambda_script`` is made of: desired state as values, plans made by reading, and the one door to AWS."""

"""What runs on AWS, and nothing else: the three functions of the pipeline, and what they share."""

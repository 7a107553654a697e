"""From the source to the ingestion bucket: what was committed since the last batch becomes the next."""

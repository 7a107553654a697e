"""From the ingestion bucket to the processed one: a batch shaped like the warehouse's tables."""

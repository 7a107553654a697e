"""From the processed bucket to the warehouse: batch by batch, in order."""

"""Schedule expressions: cron, rates, time zones, and the times at which they fire."""

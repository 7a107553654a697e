"""What AWS would reject although its type is right: quotas and patterns, with source and date."""

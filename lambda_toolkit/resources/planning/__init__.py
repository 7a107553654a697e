"""What every kind of resource is planned with: reads of the account, differences, tags, the alias, attachments."""

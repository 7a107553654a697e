"""What functions share with others in the account: roles, buckets, secrets and topics."""

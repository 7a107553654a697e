"""The control tables: the ledger of batches, pending rows, rejected values."""

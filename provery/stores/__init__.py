"""Where bytes and rows live: artifact stores and the ledger."""

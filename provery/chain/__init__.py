"""Ethereum: JSON-RPC, signers, fees, contracts' errors."""

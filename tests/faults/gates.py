"""Names of the gates between the steps of a lane; ``gated`` holds there, cases name them."""

BEFORE_SEND, BEFORE_RECORD, BEFORE_CONFIRM = "sign-send", "send-record", "record-confirm"
"""Signed and kept; taken by a node; in a block with its confirmations."""
API = "api"
"""The worker that serves the zkml system's API; started with the first case that needs it."""

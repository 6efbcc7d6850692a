"""Bare ezkl children on the spending model: what the API is compared with."""

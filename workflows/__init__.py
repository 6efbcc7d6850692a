"""Workflows: deterministic code only, over ``provery.core`` and the Temporal SDK."""

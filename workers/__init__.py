"""Workers: one entry point that builds adapters, registers workflows and activities, and serves health and metrics."""

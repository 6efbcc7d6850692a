"""The HTTP server that systems' routes are mounted on."""

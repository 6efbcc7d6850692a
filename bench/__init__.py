"""Benchmarks that anyone can run; see ``make bench``."""

"""The systems: one folder each, independent of one another, named only by the registry."""

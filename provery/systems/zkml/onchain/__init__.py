"""What of this system goes on a chain: the registry, its calls, verifiers."""

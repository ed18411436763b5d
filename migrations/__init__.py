"""Changes of state: the target schema and, later, the release."""

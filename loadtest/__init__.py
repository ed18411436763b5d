"""Open-loop load on the target."""

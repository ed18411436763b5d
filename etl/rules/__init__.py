"""Points and tier rules as pure functions."""

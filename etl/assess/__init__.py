"""Inventory the legacy databases and find what will go wrong before it does."""

"""Declarative mappings from legacy tables to target tables, and the named transforms they use."""

"""Staged rows to target tables, with quarantine."""

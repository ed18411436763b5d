"""The named transforms that mappings use: polars expressions, one file for each kind of value.

`registry.py` lists them with their arguments and what they accept; docs/mappings.md explains each.
"""

"""Snapshots of single stores: what is taken before a switch, and what brings one store's rows back without touching another's."""

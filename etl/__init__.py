"""Data movement: read the legacy databases, transform, write to TiDB, compare."""

"""Alembic environment and revisions of the target schemas."""

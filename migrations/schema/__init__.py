"""The target's two schemas and how they change: Alembic revisions, up and down."""

"""Indexes of the events of deduplication; and its tables, on targets that were made before there was any."""

from __future__ import annotations

from migrations.schema import dedupe_tables
from migrations.schema.execute import execute_all

revision = "0003_dedupe"
down_revision = "0002_indexes"
branch_labels = None
depends_on = None


EVENT_INDEXES = {"ix_member": "(member_id)", "ix_record": "(system, source_id)"}


def upgrade() -> None:
    """Create what is missing, and index what is looked up once the first deduplication has filled it."""
    added = ", ".join(f"ADD INDEX IF NOT EXISTS {name} {columns}" for name, columns in EVENT_INDEXES.items())
    execute_all((*dedupe_tables.TABLES, f"ALTER TABLE {{state}}.merge_event {added}"))


def downgrade() -> None:
    """Drop the indexes. The tables belong to 0001_tables, and what was merged stays known until those go."""
    execute_all(("ALTER TABLE {state}.merge_event " + ", ".join(f"DROP INDEX IF EXISTS {name}" for name in EVENT_INDEXES),))

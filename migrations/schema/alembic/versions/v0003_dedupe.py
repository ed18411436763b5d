"""The tables of deduplication, on targets that were made before there was any; newer ones have them since 0001_tables."""

from __future__ import annotations

from migrations.schema import dedupe_tables
from migrations.schema.execute import execute_all

revision = "0003_dedupe"
down_revision = "0002_indexes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create what is missing."""
    execute_all(dedupe_tables.TABLES)


def downgrade() -> None:
    """Nothing goes: the tables belong to 0001_tables, and what was merged stays known until those go."""

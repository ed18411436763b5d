"""${message}."""

from __future__ import annotations

from migrations.schema.execute import execute_all

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    """${upgrades if upgrades else "What this revision adds."}"""
    execute_all(())


def downgrade() -> None:
    """${downgrades if downgrades else "The way back."}"""
    execute_all(())

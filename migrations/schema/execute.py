"""How a revision runs its SQL: plain text, so that a DBA reads in the revision what the server is told."""

from __future__ import annotations

from collections.abc import Iterable

from alembic import context, op

from migrations.schema.names import SchemaNames


def execute_all(statements: Iterable[str]) -> None:
    """Run statements in order, their placeholders filled in.

    Each must be harmless when it is run again: DDL is not transactional on the target, so a revision that was cut short is
    run again from its start.
    """
    names: SchemaNames = context.config.attributes["names"]
    for statement in statements:
        op.execute(names.fill(statement))

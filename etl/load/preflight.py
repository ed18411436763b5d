"""What must hold before a load begins: the schema is there, the stage is whole, members come before those who refer to them, and
a load that was begun goes on under the mapping it was begun with."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from etl.errors import RefusedError, UsageError
from etl.load.runs import Run, newest_detail
from etl.mapping.model import Mapping as MappingModel
from etl.mapping.model import Part
from etl.stage.read import Stage, StagedTable
from etl.target.columns import TargetColumn

STATE_TABLES: Mapping[str, tuple[str, ...]] = {
    "load_run": ("run_id", "started_at", "finished_at", "command", "status", "details"),
    "load_checkpoint": ("mapping_part", "chunk_sha", "batch_no", "rows_loaded", "rows_rejected", "run_id", "committed_at"),
    "id_allocator": ("name", "next_id"),
    "reject": (
        "reject_id",
        "run_id",
        "mapping_part",
        "source_table",
        "source_key",
        "target_table",
        "column_name",
        "reason",
        "settled_at",
    ),
}
SCHEMA_REMEDY = "Create the target's tables: membershift schema up --execute"


def choose_parts(mapping: MappingModel, names: Sequence[str]) -> tuple[Part, ...]:
    """The parts asked for, by target table, part or source table; all when nothing is. In load order. Raises UsageError."""
    if not names:
        return mapping.parts
    chosen: set[str] = set()
    for name in names:
        found = [part.name for part in mapping.parts if name in (part.target, part.name, str(part.source))]
        if not found:
            known = ", ".join(table.target for table in mapping.tables)
            raise UsageError(f"The mapping {mapping.name} has no table or part {name!r}.", f"Use one of: {known}.")
        chosen.update(found)
    return tuple(part for part in mapping.parts if part.name in chosen)


def require_tables(found: Mapping[str, Sequence[TargetColumn]], schema: str, tables: Collection[str]) -> None:
    """Raise RefusedError when a target table is missing."""
    missing = sorted(set(tables) - set(found))
    if missing:
        raise RefusedError(f"The target has no table {', '.join(f'{schema}.{name}' for name in missing)}.", SCHEMA_REMEDY)


def require_state_tables(found: Mapping[str, Sequence[TargetColumn]], schema: str) -> None:
    """Raise RefusedError when our own tables are missing or older than this program."""
    require_tables(found, schema, STATE_TABLES)
    for table, wanted in STATE_TABLES.items():
        missing = sorted(set(wanted) - {column.name for column in found[table]})
        if missing:
            raise RefusedError(
                f"{schema}.{table} has no column {', '.join(missing)}.", "Bring it up to date: membershift schema up --execute"
            )


def require_staged(stage: Stage, parts: Sequence[Part]) -> dict[str, StagedTable]:
    """The staged table of every part and lookup, by name. Raises RefusedError when one is missing or not complete."""
    staged = {str(table.name): table for table in stage.tables()}
    needed = dict.fromkeys(str(part.source) for part in parts)
    needed.update(dict.fromkeys(str(lookup.table) for part in parts for lookup in part.lookups))
    missing = [name for name in needed if name not in staged or not staged[name].complete]
    if missing:
        tables = " ".join(f"--table {name}" for name in missing)
        raise RefusedError(f"Not staged, or not to the end: {', '.join(missing)}.", f"Run: membershift stage {tables}")
    return {name: staged[name] for name in needed}


def require_members_first(mapping: MappingModel, parts: Sequence[Part], loaded: Collection[str]) -> None:
    """Raise RefusedError when a part refers to members that are neither loaded (`loaded`: parts settled to the end) nor loaded
    along with it."""
    ready = {part.name for part in parts} | set(loaded)
    for part in parts:
        for column in part.columns:
            if column.member is None:
                continue
            defining = [other for other in mapping.parts if other.defines_member and other.defines_member.name == column.member]
            waiting = [other.name for other in defining if other.name not in ready]
            if waiting:
                raise RefusedError(
                    f"{part.name} refers to members of {column.member}, and {', '.join(waiting)} is not loaded.",
                    f"Load the members first: membershift load --table {waiting[0]} --execute",
                )


def require_same_mapping(runs: tuple[Run, ...], part: str, fingerprint: str, *, begun: bool, complete: bool) -> str | None:
    """Raise RefusedError when a load of `part` was begun under another mapping. When it is complete, return a sentence to tell
    instead."""
    loads = tuple(run for run in runs if run.command == "load")
    before = newest_detail(loads, "parts", part)
    if not begun or before in (None, fingerprint):
        return None
    if complete:
        return (
            f"The mapping of {part} changed after it was loaded: rows already there are as the former mapping made them. "
            "`membershift reconcile rows` shows which differ, `membershift reconcile repair` writes them anew."
        )
    raise RefusedError(
        f"The mapping of {part} changed while its load is unfinished: some rows would be made by one mapping, some by another.",
        "Put the mapping back as it was; or go on with --accept-mapping, and then let `membershift reconcile repair` write the "
        "earlier rows anew.",
    )

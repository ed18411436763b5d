"""Invariants that follow from the mapping alone: row counts, and a crosswalk that is complete, leads to members and never in
a circle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from etl.mapping.model import Mapping, TableMapping
from etl.names import backtick
from etl.reconcile.invariant_compare import judge_sums
from etl.reconcile.invariant_model import InvariantResult, Values, add, number
from etl.reconcile.invariant_spec import OrphanRule

if TYPE_CHECKING:
    from etl.reconcile.invariant_sides import Look

LONGEST_CHAIN: Final = 100
"""Merges of merges: a chain as long as this goes in a circle."""


COMPLETE: Final = """
SELECT s.source, COUNT(*) FROM {schema}.member_source AS s
JOIN {schema}.member AS m ON m.member_id = s.member_id WHERE m.merged_into IS NULL GROUP BY s.source"""

# A merged member stands for as many legacy ones as deduplication linked to it.
MERGED_MEMBERS: Final = """
SELECT '{table}', (SELECT COUNT(*) FROM {schema}.`{table}` WHERE merged_into IS NULL)
    + (SELECT COUNT(*) - COUNT(DISTINCT member_id) FROM {schema}.member_source WHERE linked_by = 'dedupe')"""


def count_rows(look: Look, mapping: Mapping) -> InvariantResult:
    """Each target table has the rows of its source tables, less those in quarantine."""
    asked = [look.ask_target_soon(count_of(table, look.merged), 1) for table in mapping.tables]
    source: list[dict[tuple[str, ...], Values]] = []
    aside: list[dict[tuple[str, ...], Values]] = []
    for table in mapping.tables:
        for part in table.parts:
            rows = look.source.scalar(" ".join(("SELECT COUNT_BIG(*) FROM", part.source.quoted)))
            source.append({(table.target,): (number(rows),)})
            aside.append({(table.target,): (number(len(look.quarantine.texts(part.name))),)})
    target = add([counted.result() for counted in asked])
    return judge_sums("counts", "Rows of each table", ("rows",), add(source), add(aside), target)


def count_of(table: TableMapping, merged: bool) -> str:
    """How many rows a target table has; of members, how many legacy ones are behind them."""
    members = merged and any(part.defines_member is not None for part in table.parts)
    return MERGED_MEMBERS.replace("{table}", table.target) if members else count_target(table.target)


def count_target(table: str) -> str:
    """How many rows a target table has, under its name."""
    return " ".join((f"SELECT '{table}', COUNT(*) FROM", f"{{schema}}.{backtick(table)}"))


def complete_crosswalk(look: Look, mapping: Mapping) -> InvariantResult:
    """Each legacy member of each system leads to a member that is there and did not end in another."""
    asked = look.ask_target_soon(COMPLETE, 1)
    source: dict[tuple[str, ...], Values] = {}
    aside: dict[tuple[str, ...], Values] = {}
    for name, system in mapping.systems.items():
        source[(name,)] = (number(look.source.scalar(" ".join(("SELECT COUNT_BIG(*) FROM", system.table.quoted)))),)
        parts = [part.name for part in mapping.parts if part.defines_member == system]
        aside[(name,)] = (number(sum(len(look.quarantine.texts(part)) for part in parts)),)
    return judge_sums("crosswalk_complete", "Each legacy member id leads to a member", ("ids",), source, aside, asked.result())


MEMBERS: Final = """
SELECT s.member_id, COUNT(*) FROM {schema}.member_source AS s
LEFT JOIN {schema}.member AS m ON m.member_id = s.member_id WHERE m.member_id IS NULL GROUP BY s.member_id"""

ENTRIES: Final = """
SELECT m.member_id, COUNT(*) FROM {schema}.member AS m
LEFT JOIN {schema}.member_source AS s ON s.member_id = m.member_id
WHERE s.member_id IS NULL AND m.merged_into IS NULL AND m.origin IN ({systems}) GROUP BY m.member_id"""

MERGES_END: Final = """
SELECT c.merged_into, COUNT(*) FROM {schema}.member AS c LEFT JOIN {schema}.member AS p ON p.member_id = c.merged_into
WHERE c.merged_into IS NOT NULL AND p.member_id IS NULL GROUP BY c.merged_into"""

CIRCLES: Final = """
WITH RECURSIVE chain (start_id, at_id, steps) AS (
    SELECT member_id, merged_into, 1 FROM {schema}.member WHERE merged_into IS NOT NULL
    UNION ALL
    SELECT c.start_id, m.merged_into, c.steps + 1 FROM chain AS c JOIN {schema}.member AS m ON m.member_id = c.at_id
    WHERE m.merged_into IS NOT NULL AND c.at_id <> c.start_id AND c.steps < {longest}
)
SELECT start_id, COUNT(*) FROM chain WHERE at_id = start_id OR steps >= {longest} GROUP BY start_id"""


ENTRIES_LIVE: Final = """
SELECT s.member_id, COUNT(*) FROM {schema}.member AS m JOIN {schema}.member_source AS s ON s.member_id = m.member_id
WHERE m.merged_into IS NOT NULL GROUP BY s.member_id"""

ROWS_LIVE: Final = """
SELECT c.{column}, COUNT(*) FROM {schema}.member AS m JOIN {schema}.{table} AS c ON c.{column} = m.member_id
WHERE m.merged_into IS NOT NULL GROUP BY c.{column}"""

# Unless it was taken out of its survivor again later.
ENDED_REDIRECT: Final = """
SELECT e.from_member_id, COUNT(*) FROM {state}.merge_event AS e LEFT JOIN {schema}.member AS m ON m.member_id = e.from_member_id
WHERE e.kind = 'retire' AND m.merged_into IS NULL AND NOT EXISTS (
    SELECT 1 FROM {state}.merge_event AS u WHERE u.member_id = e.from_member_id AND u.event_id > e.event_id AND u.kind <> 'retire'
) GROUP BY e.from_member_id"""

GOLDEN_VALUES: Final = """
SELECT g.member_id, COUNT(*) FROM {state}.golden_field AS g
LEFT JOIN {schema}.member_source AS s ON s.source = g.system AND s.source_id = g.source_id
WHERE s.member_id IS NULL OR s.member_id <> g.member_id GROUP BY g.member_id"""


def merged_orphans(mapping: Mapping) -> Iterator[OrphanRule]:
    """What must hold besides once deduplication joined members: nothing leads to one that ended in another."""
    yield OrphanRule("entries_live", "Crosswalk entries lead to members that did not end", "", ENTRIES_LIVE, (), ())
    yield OrphanRule("ended_redirect", "Members that ended lead to the one they are part of", "", ENDED_REDIRECT, (), ())
    yield OrphanRule("golden_values", "Golden values come from legacy rows of their member", "", GOLDEN_VALUES, (), ())
    for table, column in member_columns(mapping):
        sql = ROWS_LIVE.replace("{table}", backtick(table)).replace("{column}", backtick(column))
        yield OrphanRule(f"{table}_live", "No row belongs to a member that ended", "", sql, (), ())


def member_columns(mapping: Mapping) -> tuple[tuple[str, str], ...]:
    """(table, column) of everything on the target that refers to a member, each once."""
    parts = [part for part in mapping.parts if part.defines_member is None]
    return tuple(dict.fromkeys((part.target, column.target) for part in parts for column in part.columns if column.member))


def crosswalk_orphans(mapping: Mapping) -> Iterator[OrphanRule]:
    """What must not be in a crosswalk, of whichever mapping."""
    if not mapping.systems:
        return
    entries = ENTRIES.replace("{systems}", ", ".join(f"'{name}'" for name in mapping.systems))
    circles = CIRCLES.replace("{longest}", str(LONGEST_CHAIN))
    yield OrphanRule("crosswalk_members", "Crosswalk entries lead to a member", "", MEMBERS, (), ())
    yield OrphanRule("members_in_crosswalk", "Migrated members are in the crosswalk", "", entries, (), ())
    yield OrphanRule("merges_end", "Merged members lead to a member that is there", "", MERGES_END, (), ())
    yield OrphanRule("merges_acyclic", "Merges never go in a circle", "", circles, (), ())

"""Invariants that follow from the mapping alone: row counts, and a crosswalk that is complete, leads to members and never in
a circle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from etl.mapping.model import Mapping
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
JOIN {schema}.member AS m ON m.member_id = s.member_id GROUP BY s.source"""


def count_rows(look: Look, mapping: Mapping) -> InvariantResult:
    """Each target table has the rows of its source tables, less those in quarantine."""
    asked = [look.ask_target_soon(count_target(table.target), 1) for table in mapping.tables]
    source: list[dict[tuple[str, ...], Values]] = []
    aside: list[dict[tuple[str, ...], Values]] = []
    for table in mapping.tables:
        for part in table.parts:
            rows = look.source.scalar(" ".join(("SELECT COUNT_BIG(*) FROM", part.source.quoted)))
            source.append({(table.target,): (number(rows),)})
            aside.append({(table.target,): (number(len(look.quarantine.texts(part.name))),)})
    target = add([counted.result() for counted in asked])
    return judge_sums("counts", "Rows of each table", ("rows",), add(source), add(aside), target)


def count_target(table: str) -> str:
    """How many rows a target table has, under its name."""
    return " ".join((f"SELECT '{table}', COUNT(*) FROM", f"{{schema}}.{backtick(table)}"))


def complete_crosswalk(look: Look, mapping: Mapping) -> InvariantResult:
    """Each legacy member of each system leads to a member that is there."""
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

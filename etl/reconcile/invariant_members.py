"""Rules for each member on a target where deduplication joined some: legacy ids become member ids through the crosswalk."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from etl.load.crosswalk import DEDUPE
from etl.load.sql import places, sql
from etl.reconcile.invariant_model import Rows, add, text
from etl.reconcile.invariant_sides import Look
from etl.reconcile.invariant_spec import RowRule

KEYS_PER_QUERY: Final = 1_000
MEMBER_OF: Final = """\
SELECT source_id, member_id FROM {schema}.member_source WHERE linked_by = %s AND source = %s AND source_id IN ({keys})"""
RECORDS_OF: Final = """\
SELECT source_id, member_id FROM {schema}.member_source WHERE linked_by = %s AND source = %s AND member_id IN ({keys})"""
NOT_SINGLE: Final = """\
SELECT member_id FROM {schema}.member WHERE merged_into IS NOT NULL AND member_id IN ({keys})
UNION SELECT member_id FROM {schema}.member_source WHERE linked_by = %s AND member_id IN ({keys})"""


def through_crosswalk(look: Look, rule: RowRule, source: Rows) -> Rows:
    """Rows of the source by the member they are on the target: those of merged members added up, or left out."""
    members = members_of(look, rule, [key for (key,) in source]) if look.merged and source else {}
    if not members:
        return source
    single = {key: values for key, values in source.items() if key[0] not in members}
    if rule.merged == "leave_out":
        return single
    together = add([{(members[key],): values} for (key,), values in source.items() if key in members])
    return single | {key: values for key, values in together.items() if any(values)}


def compared_members(look: Look, rule: RowRule, target: Rows) -> Rows:
    """Rows of the target, without merged members and such as ended in others where the rule leaves these out."""
    if not look.merged or rule.merged == "add":
        return target
    others: set[str] = set()
    for keys in in_slices([key for (key,) in target]):
        statement = sql(NOT_SINGLE, {"schema": look.schema}, keys=places(len(keys)))
        others.update(text(row[0]) for row in look.target.query(statement, (*keys, DEDUPE, *keys)))
    return {key: values for key, values in target.items() if key[0] not in others}


def legacy_keys(look: Look, rule: RowRule, keys: Collection[str]) -> list[str]:
    """Legacy ids behind these members; a member that is not merged has its own."""
    system = system_of(look, rule)
    if not look.merged or rule.merged == "leave_out" or system is None:
        return list(keys)
    merged: dict[str, list[str]] = {}
    for some in in_slices(list(keys)):
        statement = sql(RECORDS_OF, {"schema": look.schema}, keys=places(len(some)))
        for source_id, member_id in look.target.query(statement, (DEDUPE, system, *some)):
            merged.setdefault(text(member_id), []).append(text(source_id))
    return [legacy for key in keys for legacy in merged.get(key, [key])]


def members_of(look: Look, rule: RowRule, keys: Sequence[str]) -> dict[str, str]:
    """The members of those legacy ids that are merged."""
    system = system_of(look, rule)
    found: dict[str, str] = {}
    for some in in_slices(keys) if system is not None else ():
        statement = sql(MEMBER_OF, {"schema": look.schema}, keys=places(len(some)))
        rows = look.target.query(statement, (DEDUPE, system, *some))
        found |= {text(source_id): text(member_id) for source_id, member_id in rows}
    return found


def system_of(look: Look, rule: RowRule) -> str | None:
    """The system whose members a rule is about."""
    system = look.quarantine.mapping.part(rule.part).defines_member
    return None if system is None else system.name


def in_slices(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """As many keys as one statement takes."""
    for first in range(0, len(keys), KEYS_PER_QUERY):
        yield keys[first : first + KEYS_PER_QUERY]

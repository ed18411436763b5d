"""Invariants: sums and rules computed on both sides, each by SQL of its own, so that a fault of the transforms cannot hide
itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping
from etl.progress import Progress
from etl.reconcile.crosswalk_rules import complete_crosswalk, count_rows, crosswalk_orphans, merged_orphans
from etl.reconcile.invariant_compare import judge_orphans, judge_rules, judge_sums
from etl.reconcile.invariant_members import compared_members, legacy_keys, through_crosswalk
from etl.reconcile.invariant_model import InvariantResult, InvariantsResult, Rows, Values, Verdict, add, text
from etl.reconcile.invariant_sides import ALWAYS, Look, TargetPool, fill
from etl.reconcile.invariant_spec import Except, Invariants, OrphanRule, RowRule, SumsRule, When, load_invariants
from etl.reconcile.quarantined_keys import QuarantinedKeys
from etl.reconcile.record import record_invariants
from etl.reconcile.registry import anything_merged
from etl.settings import Settings
from etl.source.catalog import read_catalog
from etl.source.connect import open_source
from etl.target.snapshot import consistent_snapshot

AT_ONCE = 4
"""Checks at once, and with them connections to either side; fewer where a pool is smaller."""

KEYS_PER_QUERY = 500
MOST_EXPLAINED = 20_000
"""Rows of one rule in which the sides differ and that are looked into; of more, it is only said that they differ."""

Check = Callable[[], InvariantResult]


def run_invariants(settings: Settings, progress: Progress) -> InvariantsResult:
    """Check every invariant of the mapping, and note in the state folder what was found. Changes nothing else.

    Raises SourceError, TargetError, ConfigurationError for a rule that cannot be read.
    """
    mapping = load_mapping(settings.mapping, settings.config_dir)
    rules = load_invariants(mapping)
    at_once = min(AT_ONCE, settings.source.pool_size, settings.target.pool_size)
    with (
        open_source(settings.source, progress) as source,
        consistent_snapshot(settings.target, at_once) as snapshot,
        ThreadPoolExecutor(at_once, "target") as soon,
    ):
        target = TargetPool(snapshot.connections)
        catalog = read_catalog(source, settings.source.databases, mapping.source_tables())
        quarantine = QuarantinedKeys(target, settings.target.state_schema, mapping, catalog)
        as_of = end_of_day(source.scalar(rules.as_of)) if rules.as_of else None
        zone, minutes = zone_offset(mapping.time_zone, as_of)
        with target.lend() as connection:
            merged = anything_merged(connection, settings.target.state_schema)
        look = Look(source, target, soon, settings.target.schema_name, quarantine, zone, minutes, as_of, merged)
        results = run_checks(list(checks(look, mapping, rules)), soon, at_once, progress)
        failed = any(result.verdict is Verdict.DIFFERS for result in results)
        notes = notes_of(mapping, rules) + ((snapshot.note,) if snapshot.note else ())
        result = InvariantsResult(tuple(results), snapshot.taken_at, as_of, failed, notes)
    record_invariants(settings, result, progress)
    return result


def run_checks(steps: Sequence[Check], soon: Executor, at_once: int, progress: Progress) -> list[InvariantResult]:
    """Several checks at once; what each found, in the order of `steps`.

    The last ones begin first: they read the largest tables, and none of them shall be left alone at the end. The first
    error ends it all, once the statements under way have ended.
    """
    progress.start("invariants", len(steps), "rules")
    with ThreadPoolExecutor(at_once, "check") as pool:
        running = [pool.submit(check) for check in reversed(steps)]
        try:
            for done in as_completed(running):
                done.result()
                progress.advance("invariants", 1)
        except BaseException:
            for executor in (pool, soon):
                executor.shutdown(wait=False, cancel_futures=True)
            raise
    progress.finish("invariants")
    return [done.result() for done in reversed(running)]


def checks(look: Look, mapping: Mapping, rules: Invariants) -> Iterator[Check]:
    """Every check, in the order of the report."""
    yield partial(count_rows, look, mapping)
    for sums in rules.sums:
        if applies(sums.when, look):
            yield partial(check_sums, look, sums)
    for row_rule in rules.rules:
        if applies(row_rule.when, look):
            yield partial(check_rule, look, row_rule)
    if mapping.systems:
        yield partial(complete_crosswalk, look, mapping)
    for orphans in (*crosswalk_orphans(mapping), *(merged_orphans(mapping) if look.merged else ()), *rules.orphans):
        yield partial(check_orphans, look, orphans)


def applies(when: When, look: Look) -> bool:
    """Whether a rule is for a target like this one."""
    return when == "always" or look.merged == (when == "merged")


def check_sums(look: Look, rule: SumsRule) -> InvariantResult:
    """Sums by group; rows in quarantine are summed up from the source, by key."""
    groups = len(rule.groups)
    target = look.ask_target_soon(rule.target, groups)
    source = add([look.ask_source(part.sql, groups) for part in rule.sources])
    aside = add(
        [look.ask_source(part.sql, groups, only=only) for part in rule.sources for only in look.quarantine.conditions(part.part)]
    )
    return judge_sums(rule.name, rule.title, rule.values, source, aside, target.result())


def check_rule(look: Look, rule: RowRule) -> InvariantResult:
    """Rows that break a rule."""
    nothing = {one.name: ALWAYS for one in rule.excepts}
    asked = look.ask_target_soon(rule.target, 1)
    source = through_crosswalk(look, rule, look.ask_source(rule.source, 1, **nothing))
    target = compared_members(look, rule, asked.result())
    return judge_rules(rule.name, rule.title, rule.values, source, target, lambda keys: without_quarantine(look, rule, keys))


def without_quarantine(look: Look, rule: RowRule, keys: Collection[str]) -> Rows:
    """What the source says of these keys once rows in quarantine are left out."""
    if len(keys) > MOST_EXPLAINED:
        return {}
    aside = {text(value) for value in look.quarantine.of(rule.part)[rule.key_column]}
    asked = [key for key in legacy_keys(look, rule, keys) if key not in aside]
    owned = {one.name: owned_rows(look, one, set(asked)) for one in rule.excepts}
    found: dict[tuple[str, ...], Values] = {}
    for first in range(0, len(asked), KEYS_PER_QUERY):
        some = asked[first : first + KEYS_PER_QUERY]
        excepts = {one.name: except_condition(look, one, owned[one.name], some) for one in rule.excepts}
        values = look.quarantine.typed(rule.part, some)
        found |= look.ask_source(rule.source, 1, only=f"{rule.only} IN ({look.quarantine.in_list(rule.part, values)})", **excepts)
    return through_crosswalk(look, rule, found)


def owned_rows(look: Look, one: Except, keys: set[str]) -> list[tuple[Any, str]]:
    """(source key, key of the rule) of rows in quarantine that concern these keys."""
    rows: list[tuple[Any, str]] = []
    for only in look.quarantine.conditions(one.part):
        found = look.source.query(fill(one.owners, only=only))
        rows += [(value, text(owner)) for value, owner in found if text(owner) in keys]
    return rows


def except_condition(look: Look, one: Except, owned: Sequence[tuple[Any, str]], keys: Sequence[str]) -> str:
    """T-SQL that leaves these keys' rows in quarantine out."""
    wanted = set(keys)
    values = sorted({text(value) for value, owner in owned if owner in wanted})
    if not values:
        return ALWAYS
    return f"{one.column} NOT IN ({look.quarantine.in_list(one.part, look.quarantine.typed(one.part, values))})"


def check_orphans(look: Look, rule: OrphanRule) -> InvariantResult:
    """Rows without a parent."""
    asked = look.ask_target_soon(rule.target, 1)
    source = look.ask_source(rule.source, 1) if rule.source else {}
    target = asked.result()
    parents: set[str] = set()
    if target:
        for part, prefix in zip(rule.parents, rule.prefixes, strict=True):
            parents.update(prefix + key for key in look.quarantine.texts(part))
    return judge_orphans(rule.name, rule.title, source, target, parents)


def end_of_day(last: datetime | None) -> datetime | None:
    """Midnight after the last event."""
    return None if last is None else datetime(last.year, last.month, last.day) + timedelta(days=1)


def zone_offset(time_zone: str, at: datetime | None) -> tuple[str, int]:
    """The zone's offset, as "+08:00" and in minutes.

    >>> zone_offset("Asia/Shanghai", None)
    ('+08:00', 480)
    """
    moment = (at or datetime.now(UTC).replace(tzinfo=None)).replace(tzinfo=ZoneInfo(time_zone))
    minutes = round((moment.utcoffset() or timedelta()).total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}", minutes


def notes_of(mapping: Mapping, rules: Invariants) -> tuple[str, ...]:
    """What a reader should know of how far the checks go."""
    notes = []
    if not (rules.sums or rules.rules or rules.orphans):
        notes.append("The mapping has no folder `invariants`: only counts and the crosswalk are checked.")
    summer, winter = (zone_offset(mapping.time_zone, datetime(2024, month, 1))[1] for month in (7, 1))
    if summer != winter:
        notes.append("The time zone has summer time: months are cut by one offset, which moves sales of one hour.")
    return tuple(notes)

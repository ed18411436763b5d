"""One batch, one transaction on the legacy side: find and lock, see what is there, decide, compose and prove, write, commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

import polars as pl

from etl.reconcile.plan import encode_keys, provenance
from etl.source.errors import ServerError
from etl.source.session import PlainSession
from etl.sync.base import RowBase
from etl.sync.conflicts import HIDDEN, FoundConflict, archive_conflicts
from etl.sync.model import KEY
from etl.sync.plan import SyncTable
from etl.sync.reverse.born import link_records
from etl.sync.reverse.checked import Seen
from etl.sync.reverse.compose import Batch, compose
from etl.sync.reverse.decide import Columns, Decision, columns_of, decide, is_echo
from etl.sync.reverse.images import Beside, Images, Tools, read_images
from etl.sync.reverse.inverse import PartInverse
from etl.sync.reverse.legacy_tables import read_returned
from etl.sync.reverse.locate import UNNUMBERED, Located, home_of, locate_members, locate_rows, new_record
from etl.sync.reverse.model import ReverseContext, Reversed
from etl.sync.reverse.outcome import PENDING, links_of, tell
from etl.sync.reverse.pending import pending_changes
from etl.sync.reverse.places import Place, new_place
from etl.sync.reverse.proof import Reason, check_fixed
from etl.sync.reverse.records import Records
from etl.sync.reverse.write_back import WriteResult, transaction, write_batch

NO_GOLDEN: Final = Reason("legacy_row_refused", "what the member's records add up to does not fit its column")


@dataclass(frozen=True)
class Page:
    """What all batches of a page share. `errors`: what the server refused single rows with; `blocked`: locks that were waited for
    in vain."""

    context: ReverseContext
    table: SyncTable
    inverses: tuple[PartInverse, ...]
    bases: Mapping[str, RowBase]
    records: Records
    beside: Beside
    errors: list[ServerError] = field(default_factory=list)
    blocked: list[ServerError] = field(default_factory=list)


def attempt(page: Page, rows: pl.DataFrame, result: Reversed, wait_ms: int) -> None:
    """Bring one batch over; `result` learns of it once it is committed. `wait_ms`: how long to wait for a lock. Raises
    ServerError, and then nothing of it counts."""
    context, table = page.context, page.table
    members = rows[table.plan.key[0]] if table.plan.defines_members else None
    batch = Batch(table, rows, members, reference_keys(page, rows), Tools(page.records.lookup, page.beside, context.survive))
    with transaction(context.source, wait_ms) as session:
        located = locate(page, session, rows)
        images = read_images(table.plan, located.places, [place.frame for place in located.places], members, batch.tools)
        located, images = without_coincidences(page, batch, located, images)
        returned = read_counters(session, table, located.places)
        images = without_refused(located, images)
        if members is not None:
            add_home_records(page, batch, located, images)
        facts = facts_of(table, located, rows.height)
        decisions = decide_all(page, batch, located, images, facts, returned)
        if table.rules.mode == "append":
            leave_pending(context, session, located, decisions)
        places = [*located.places, *located.fresh]
        made = compose(batch, places, images, decisions, facts)
        wrote = {at: one for at, one in decisions.items() if at not in made.dead and (one.send or one.gains)}
        archive_conflicts(context.target, context.plan.state_schema, hidden_values(batch, images, wrote))
        done = write_batch(session, context, batch, made, wrote) if wrote else WriteResult()
    link_records(context.target, context.plan.schema, links_of(batch, located, places, done))
    tell(page.inverses, batch, located, decisions, made, done, result)


def hidden_values(batch: Batch, images: Images, wrote: Mapping[int, Decision]) -> Iterator[FoundConflict]:
    """Values of single records that are about to be replaced although nobody changed them on the target."""
    name = batch.table.name
    for at, one in wrote.items():
        if one.hidden:
            target = {column: batch.rows[column][at] for column in batch.table.kept}
            source = {**images.rows[at], **one.hidden}
            yield FoundConflict("reverse", name, batch.rows[KEY][at], tuple(one.hidden), HIDDEN, "target", source, target)


def locate(page: Page, session: PlainSession, rows: pl.DataFrame) -> Located:
    """Where each row lives."""
    if page.table.plan.defines_members:
        return locate_members(session, page.table, page.inverses, rows, page.records)
    return locate_rows(session, page.table, page.inverses, rows)


def reference_keys(page: Page, rows: pl.DataFrame) -> dict[tuple[str, int], str]:
    """The legacy ids that rows of this batch name their members by."""
    keys: dict[tuple[str, int], str] = {}
    for inverse in page.inverses:
        for column in inverse.members:
            system = inverse.part.part.column(column).member
            if system is None or column in page.table.plan.key:
                continue
            for member in rows[column].drop_nulls().unique():
                best = page.records.best(int(member), system)
                if best is not None:
                    keys[system, int(member)] = best
    return keys


def facts_of(table: SyncTable, located: Located, height: int) -> dict[int, Columns]:
    """What the legacy rows of each row can hold together. Rows of the same parts share it."""
    parts: dict[int, list[PartInverse]] = {}
    for place in (*located.places, *located.fresh):
        for at in place.at:
            mine = parts.setdefault(int(at), [])
            if place.inverse not in mine:
                mine.append(place.inverse)
    made: dict[tuple[str, ...], Columns] = {}
    facts: dict[int, Columns] = {}
    for at in range(height):
        inverses = parts.get(at, [])
        names = tuple(inverse.part.part.name for inverse in inverses)
        if names not in made:
            made[names] = columns_of(table, inverses)
        facts[at] = made[names]
    return facts


def without_coincidences(page: Page, batch: Batch, located: Located, images: Images) -> tuple[Located, Images]:
    """A row born on the target may have the key of a legacy row that is another one: unless they say the same, it is inserted."""
    other: set[int] = set()
    for place in located.places:
        facts = columns_of(page.table, [place.inverse])
        for at in map(int, place.at):
            row = images.rows.get(at)
            if at in located.doubtful and (row is None or differs(facts, row, batch.rows.row(at, named=True))):
                other.add(at)
    if not other:
        return located, images
    kept: list[Place] = []
    for place in located.places:
        keep = ~place.at.is_in(list(other))
        if not keep.all():
            moved = [int(at) for at in place.at.filter(~keep)]
            located.fresh.append(new_place(place.inverse, moved, [UNNUMBERED] * len(moved)))
            place = place.only(keep)
        if len(place.at):
            kept.append(place)
    located.places = kept
    again = read_images(page.table.plan, kept, [place.frame for place in kept], batch.members, batch.tools)
    return located, again


def without_refused(located: Located, images: Images) -> Images:
    """Legacy rows of which the mapping makes nothing as they are cannot be written: nobody could say what came of it."""
    kept: list[Place] = []
    seen: list[Seen] = []
    for place, one in zip(located.places, images.seen, strict=True):
        for row in (~one.kept).arg_true():
            at = int(place.at[int(row)])
            if at not in images.rows:
                why = f"{place.part.part.source}: the mapping makes no row of it as it is, {one.reasons[int(row)]}"
                located.dead[at] = Reason("legacy_row_refused", why)
        if one.kept.any():
            kept.append(place.only(one.kept))
            seen.append(Seen(one.rows.filter(one.kept), one.kept.filter(one.kept), {}))
            lost = {int(at) for at in place.at.filter(one.kept)} - images.rows.keys()
            located.dead |= dict.fromkeys(lost, NO_GOLDEN)
    located.places = kept
    return replace(images, seen=tuple(seen))


def differs(facts: Columns, source: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    """Whether two rows say different things."""
    return any(
        source[name] != target[name] and not is_echo(facts, name, source[name], target[name])
        for name in facts.carried
        if name in source
    )


def read_counters(session: PlainSession, table: SyncTable, places: Sequence[Place]) -> dict[int, dict[str, Decimal]]:
    """R of each row: what reverse has added so far to the counters of its legacy rows."""
    found: dict[int, dict[str, Decimal]] = {}
    for place in places:
        if not set(table.rules.counters) & place.inverse.writes.keys():
            continue
        part = place.part.part
        keys = encode_keys(place.frame.select(part.key))
        totals = read_returned(session, part.source.database, part.name, keys, lock=True)
        for at, key in zip(place.at, keys, strict=True):
            mine = found.setdefault(int(at), {})
            for column, total in totals.get(key, {}).items():
                mine[column] = mine.get(column, Decimal(0)) + total
    return found


def decide_all(
    page: Page,
    batch: Batch,
    located: Located,
    images: Images,
    facts: Mapping[int, Columns],
    returned: Mapping[int, Mapping[str, Decimal]],
) -> dict[int, Decision]:
    """What each row sends. Rows that the mapping refuses as they stand on the legacy side are told."""
    fresh = {int(at): place for place in located.fresh for at in place.at}
    there = {int(at): place for place in located.places for at in place.at}
    born = provenance(page.table.plan)
    decisions: dict[int, Decision] = {}
    for at, row in enumerate(batch.rows.iter_rows(named=True)):
        if at in located.later or at in located.nothing or at in located.dead:
            continue
        place = there.get(at) or fresh.get(at)
        if place is None:
            continue
        if batch.members is None and (why := check_fixed(place.inverse, row, born)) is not None:
            located.dead[at] = why
        else:
            source = images.rows[at] if at in there else None
            decisions[at] = decide(page.table, facts[at], source, row, page.bases.get(row[KEY]), returned.get(at, {}))
    return decisions


def add_home_records(page: Page, batch: Batch, located: Located, images: Images) -> None:
    """What a member holds that none of its records has a column for goes into a record of its own, where ids are kept: points of
    somebody who has but a card, say."""
    (member_id,) = page.table.plan.key
    home = home_of(page.inverses)
    system = home.part.part.defines_member
    homely = columns_of(page.table, [home]).carried
    facts = facts_of(page.table, located, batch.rows.height)
    lacking: list[int] = []
    for at, before in images.rows.items():
        if at in located.later or system is None or page.records.of(int(batch.rows[member_id][at])).get(system.name):
            continue
        row = batch.rows.row(at, named=True)
        if any(row[name] != before[name] for name in homely - facts[at].carried):
            lacking.append(at)
    if lacking:
        located.fresh.append(new_record(home, lacking, batch.rows, member_id))


def leave_pending(context: ReverseContext, session: PlainSession, located: Located, decisions: dict[int, Decision]) -> None:
    """Rows of a table to which rows are only added that somebody else changed after forward's position: forward comes first."""
    for place in located.places:
        since = context.positions.get(place.part.part.source)
        changing = pl.Series([bool(decisions[at].send) if at in decisions else False for at in place.at], dtype=pl.Boolean)
        table = context.plan.legacy(place.part)
        if since is None or not table.change_tracking or not changing.any():
            continue
        some = place.only(changing)
        for key in pending_changes(session, place.part, some.frame, since):
            at = int(some.at[some.ids.to_list().index(key)])
            located.later[at] = PENDING
            decisions.pop(at, None)

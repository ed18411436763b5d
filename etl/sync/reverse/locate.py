"""Finds the legacy rows of a batch and locks them: members by the crosswalk, other rows by their key or by our own notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import NAMESPACE_OID, uuid5

import polars as pl

from etl.names import bracket
from etl.reconcile.plan import REDIRECT, decode_keys, encode_keys
from etl.source.session import PlainSession
from etl.sync.model import KEY
from etl.sync.plan import SyncTable
from etl.sync.reverse.inverse import PartInverse, discriminators
from etl.sync.reverse.legacy_tables import entries_by_target
from etl.sync.reverse.places import Place, ids_of, key_frame, lock_rows, new_place, still_there
from etl.sync.reverse.proof import Dead, Reason
from etl.sync.reverse.records import Records

SYNCED_AT: Final = "synced_at"
UNNUMBERED: Final = "?"
"""In place of the id of a row that the server has still to number."""

LOCKED, GONE = "locked", "gone"


@dataclass
class Located:
    """`places` of rows that are there, then `fresh` ones of rows to be inserted. `later`: rows to be left, and why. `nothing`:
    rows that have nothing on the legacy side by design. `links`: (system, legacy id, row) that the crosswalk lacks."""

    places: list[Place] = field(default_factory=list)
    fresh: list[Place] = field(default_factory=list)
    later: dict[int, str] = field(default_factory=dict)
    nothing: set[int] = field(default_factory=set)
    links: list[tuple[str, str, int]] = field(default_factory=list)
    dead: Dead = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)


def locate_members(
    session: PlainSession, table: SyncTable, inverses: Sequence[PartInverse], rows: pl.DataFrame, records: Records
) -> Located:
    """Members: every record of theirs that still lives. One without any gets a record where ids are kept."""
    found = Located()
    (member_id,) = table.plan.key
    members = {int(member): at for at, member in enumerate(rows[member_id])}
    if REDIRECT in rows.columns:
        found.nothing = set(map(int, rows[REDIRECT].is_not_null().arg_true()))
    records.read(members)
    home = home_of(inverses)
    recover(session, found, home, rows, members, records)
    for inverse in inverses:
        system = inverse.part.part.defines_member
        if system is None:
            continue
        named = {one: at for member, at in members.items() for one in records.of(member).get(system.name, ())}
        wanted = key_frame(inverse.part, named)
        frame = lock_rows(session, inverse.part, wanted)
        ids = ids_of(inverse.part, frame)
        known = ids.is_in(list(named))
        frame, ids = frame.filter(known), ids.filter(known)
        if frame.height:
            numbers = pl.Series([named[one] for one in ids], dtype=pl.Int64)
            found.places.append(Place(inverse, numbers, ids, frame, new=False))
        leave_locked(session, found, inverse, wanted, frame.select(wanted.columns), named)
    there = {int(at) for place in found.places for at in place.at}
    for member, at in members.items():
        if at in there or at in found.nothing or at in found.later:
            continue
        if any(records.of(member).values()):
            found.later[at] = GONE
    fresh = [at for at in members.values() if at not in there | found.nothing | found.later.keys()]
    if fresh:
        found.fresh.append(new_record(home, fresh, rows, member_id))
    return found


def recover(
    session: PlainSession,
    found: Located,
    home: PartInverse,
    rows: pl.DataFrame,
    members: Mapping[int, int],
    records: Records,
) -> None:
    """Records inserted before a crash, which the crosswalk does not know: our own note on the legacy side says so."""
    system = home.part.part.defines_member
    assert system is not None, "members have a home"
    lacking = {rows[KEY][at]: (member, at) for member, at in members.items() if not records.of(member).get(system.name)}
    source = home.part.part.source
    for key, legacy in entries_by_target(session, source.database, home.part.part.name, lacking, lock=True).items():
        member, at = lacking[key]
        records.add(member, system.name, legacy)
        found.links.append((system.name, legacy, at))


def leave_locked(
    session: PlainSession,
    found: Located,
    inverse: PartInverse,
    wanted: pl.DataFrame,
    locked: pl.DataFrame,
    named: Mapping[str, int],
) -> None:
    """Rows that should be there and could not be locked: those that somebody holds are left for later, those that are gone are
    not a record any more."""
    missing = wanted.join(locked, on=wanted.columns, how="anti")
    held = still_there(session, inverse.part, missing)
    for one in ids_of(inverse.part, held):
        if one in named:
            found.later[named[one]] = LOCKED


def new_record(inverse: PartInverse, at: Sequence[int], rows: pl.DataFrame, member_id: str) -> Place:
    """Records of members that have none in this system."""
    return new_place(inverse, at, [new_id(inverse, int(rows[member_id][one])) for one in at])


def new_id(inverse: PartInverse, member: int) -> str:
    """The legacy id of a member's new record: given by the server, made by the mapping's template, or a GUID that is always the
    same for the same member, so that doing it again makes no second one."""
    system = inverse.part.part.defines_member
    assert system is not None, "only members get records"
    slot = inverse.slots[system.key]
    if slot.column.is_identity:
        return UNNUMBERED
    if system.new_key is not None:
        return system.new_key.format(member_id=member)
    if slot.column.type_name == "uniqueidentifier":
        return str(uuid5(NAMESPACE_OID, f"membershift/{system.name}/{member}"))
    return str(member)


def home_of(inverses: Sequence[PartInverse]) -> PartInverse:
    """The part where members born on the target get their record: that whose ids are kept, else the first."""
    systems = [(inverse, inverse.part.part.defines_member) for inverse in inverses]
    defined = [(inverse, system) for inverse, system in systems if system is not None]
    return next((inverse for inverse, system in defined if system.ids == "keep"), defined[0][0])


def locate_rows(session: PlainSession, table: SyncTable, inverses: Sequence[PartInverse], rows: pl.DataFrame) -> Located:
    """Rows of any other table: each is of one part, and found by its key, or by the key that we noted when it was inserted."""
    found = Located()
    for inverse, mine in sorted_into_parts(table, inverses, rows, found.dead):
        if not mine:
            continue
        part = inverse.part.part
        some = rows[mine]
        keys = inverse.legacy_keys(some)
        if keys is None:
            found.dead.update(dict.fromkeys(mine, Reason("no_key", f"{part.source}: the mapping does not say its key")))
            continue
        noted: dict[str, str] = {}
        if inverse.identity:
            noted = entries_by_target(session, part.source.database, part.name, some[KEY], lock=True)
            keys = without_unborn(session, inverse, keys)
        legacy = encode_keys(keys)
        texts = [noted.get(key, one) for key, one in zip(some[KEY], legacy, strict=True)]
        place_rows(session, found, inverse, some, mine, texts, set(noted))
    return found


def without_unborn(session: PlainSession, inverse: PartInverse, keys: pl.DataFrame) -> pl.DataFrame:
    """Keys without numbers that the server has not given yet, which ids made on the target mostly are: nothing to look for."""
    name = inverse.identity[0]
    if name not in keys.columns:
        return keys
    question = ("SELECT", f"MAX({bracket(name)})", "FROM", inverse.part.part.source.quoted, "WITH (NOLOCK)")
    ((greatest,),) = session.query(" ".join(question))
    return keys.with_columns(pl.when(pl.col(name) <= (greatest or 0)).then(pl.col(name)).alias(name))


def place_rows(
    session: PlainSession,
    found: Located,
    inverse: PartInverse,
    rows: pl.DataFrame,
    mine: Sequence[int],
    texts: Sequence[str | None],
    noted: set[str],
) -> None:
    """Lock the rows of one part by key; what is not there is to be inserted, if it never was in step."""
    wanted = pl.Series([text for text in texts if text is not None], dtype=pl.String)
    frame = lock_rows(session, inverse.part, decode_keys(wanted, inverse.part.key_schema))
    by_key = {text: at for text, at in zip(texts, mine, strict=True) if text is not None}
    folded = {fold(text): at for text, at in by_key.items()}
    ats = [by_key.get(one, folded.get(fold(one))) for one in ids_of(inverse.part, frame)]
    known = pl.Series([at is not None for at in ats], dtype=pl.Boolean)
    if known.any():
        numbers = pl.Series([one for one in ats if one is not None], dtype=pl.Int64)
        found.places.append(Place(inverse, numbers, ids_of(inverse.part, frame).filter(known), frame.filter(known), new=False))
    there = {one for one in ats if one is not None}
    missing = {text: at for text, at in by_key.items() if at not in there}
    if missing:
        keys = decode_keys(pl.Series(list(missing), dtype=pl.String), inverse.part.key_schema)
        for one in ids_of(inverse.part, still_there(session, inverse.part, keys)):
            if (held := missing.get(one, folded.get(fold(one)))) is not None:
                found.later[held] = LOCKED
    fresh: list[int] = []
    for at, key, synced in zip(mine, rows[KEY], rows[SYNCED_AT], strict=True):
        if at in there:
            if synced is None and inverse.identity and key not in noted:
                found.doubtful.add(at)
        elif at not in found.later:
            if synced is not None or key in noted:
                found.later[at] = GONE
            else:
                fresh.append(at)
    if fresh:
        found.fresh.append(new_place(inverse, fresh, [UNNUMBERED] * len(fresh)))


def fold(text: str) -> str:
    """A key without what collations of the legacy side take for the same."""
    return text.strip().casefold()


def sorted_into_parts(
    table: SyncTable, inverses: Sequence[PartInverse], rows: pl.DataFrame, dead: Dead
) -> list[tuple[PartInverse, list[int]]]:
    """The rows of each part: told by the constants that parts differ in, else by the beginning of the key."""
    told = discriminators(table.plan)
    sorted_rows: list[tuple[PartInverse, list[int]]] = [(inverse, []) for inverse in inverses]
    prefixed = sorted(sorted_rows, key=lambda pair: not prefix_of(pair[0]))
    for at, row in enumerate(rows.iter_rows(named=True)):
        for inverse, mine in prefixed:
            if is_of(inverse, row, told):
                mine.append(at)
                break
        else:
            dead[at] = Reason("no_part", f"no part of {table.name} makes rows with this {', '.join(told) or 'key'}")
    return sorted_rows


def parts_of(table: SyncTable, inverses: Sequence[PartInverse], rows: pl.DataFrame) -> list[str]:
    """The part each row would be filed under: of members that where ids are kept, of other rows their own, else the first."""
    if table.plan.defines_members:
        return [home_of(inverses).part.part.name] * rows.height
    names = [inverses[0].part.part.name] * rows.height
    for inverse, mine in sorted_into_parts(table, inverses, rows, {}):
        for at in mine:
            names[at] = inverse.part.part.name
    return names


def is_of(inverse: PartInverse, row: Mapping[str, object], told: Sequence[str]) -> bool:
    """Whether a row can come from a part."""
    part = inverse.part.part
    if len(told) and any(str(row[name]) != str(part.column(name).args["value"]) for name in told):
        return False
    prefix = prefix_of(inverse)
    if prefix is None:
        return True
    column, beginning = prefix
    value = str(row[column])
    return value.startswith(beginning) and (bool(told) or reads_back(inverse, column, value.removeprefix(beginning)))


def prefix_of(inverse: PartInverse) -> tuple[str, str] | None:
    """The key column that begins with a fixed text, and that text."""
    for name in inverse.part.part.target_key:
        mapping = inverse.part.part.column(name)
        if mapping.transform == "prefix":
            return name, str(mapping.args["with"])
    return None


def reads_back(inverse: PartInverse, column: str, rest: str) -> bool:
    """Whether what stands behind a prefix can be a legacy key."""
    slots = [inverse.slots[name] for name in inverse.writes.get(column, {})]
    return all(slot.kind != "integer" or rest.isdigit() for slot in slots)

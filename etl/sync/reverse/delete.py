"""Rows that were deleted on the target, deleted on the legacy side too, unless somebody changed them there meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from etl.reconcile.by_key import key_condition
from etl.reconcile.plan import decode_keys, encode_keys
from etl.source.errors import CAUSES, ServerError
from etl.source.session import PlainSession
from etl.sync.dead_letters import DELETE_REFUSED
from etl.sync.model import DeadLetter
from etl.sync.plan import SyncTable
from etl.sync.reverse import statements
from etl.sync.reverse.inverse import PartInverse, invert_part
from etl.sync.reverse.legacy_tables import entries_by_target, forget_rows
from etl.sync.reverse.locate import LOCKED, is_of, prefix_of
from etl.sync.reverse.model import ReverseContext, Reversed
from etl.sync.reverse.outcome import PENDING
from etl.sync.reverse.pending import pending_changes
from etl.sync.reverse.places import ids_of, key_frame, lock_rows, still_there
from etl.sync.reverse.records import Records
from etl.sync.reverse.write_back import transaction

KEYS_A_BATCH = 200


def delete_rows(context: ReverseContext, table: SyncTable, keys: Iterable[str]) -> Reversed:
    """Delete the legacy rows of target rows that are gone, by KEY. `done`: nothing of them is left; `later`: somebody holds the
    row, or changed it after forward's position; `dead`: the server keeps it, since other rows refer to it, say. Doing it again is
    harmless. Raises ServerError for what is no matter of rows."""
    result = Reversed()
    inverses = [invert_part(part, context.plan.mapping.time_zone) for part in table.plan.parts]
    wanted = pl.Series(sorted(set(keys)), dtype=pl.String)
    for first in range(0, len(wanted), KEYS_A_BATCH):
        delete_some(context, table, inverses, wanted[first : first + KEYS_A_BATCH], result)
    return result


def delete_some(
    context: ReverseContext, table: SyncTable, inverses: list[PartInverse], keys: pl.Series, result: Reversed
) -> None:
    """One batch; in halves where it fails because of a row."""
    try:
        delete_batch(context, table, inverses, keys, result)
    except ServerError as error:
        if error.transient or error.number is None:
            result.later.update(dict.fromkeys(keys, LOCKED))
        elif error.number in CAUSES:
            raise
        elif len(keys) > 1:
            half = len(keys) // 2
            delete_some(context, table, inverses, keys[:half], result)
            delete_some(context, table, inverses, keys[half:], result)
        else:
            why = f"SQL Server does not delete it (error {error.number})"
            result.dead.append(DeadLetter("reverse", table.plan.parts[0].part.name, keys[0], DELETE_REFUSED, why))


def delete_batch(
    context: ReverseContext, table: SyncTable, inverses: list[PartInverse], keys: pl.Series, result: Reversed
) -> None:
    """One transaction for some keys, over all parts."""
    later: dict[str, str] = {}
    deleted = 0
    with transaction(context.source, context.lock_wait_ms) as session:
        closing: list[str] = []
        for inverse, ids, owners in legacy_ids(context, session, table, inverses, keys):
            part = inverse.part
            frame = lock_rows(session, part, ids)
            names = ids_of(part, frame)
            later |= {owners[one]: LOCKED for one in ids_of(part, held_rows(session, inverse, ids, frame)) if one in owners}
            since, legacy = context.positions.get(part.part.source), context.plan.legacy(part)
            encoded = encode_keys(frame.select(part.part.key))
            if since is not None and legacy.change_tracking:
                pending = pending_changes(session, part, frame, since)
                later |= {
                    owners[one]: PENDING for one, key in zip(names, encoded, strict=True) if key in pending and one in owners
                }
            free = pl.Series([one in owners and owners[one] not in later for one in names], dtype=pl.Boolean)
            if free.any():
                condition = key_condition(part.table, frame.filter(free).select(part.part.key))
                closing.append(statements.delete_rows(legacy, condition))
                closing += forget_rows(part.part.source.database, part.part.name, encoded.filter(free))
                deleted += int(free.sum())
        session.execute("; ".join([*closing, "COMMIT TRAN"]))
    result.later.update(later)
    result.done |= set(keys) - later.keys()
    result.written += deleted


def held_rows(session: PlainSession, inverse: PartInverse, ids: pl.DataFrame, locked: pl.DataFrame) -> pl.DataFrame:
    """Rows that are there and could not be locked."""
    return still_there(session, inverse.part, ids.join(locked.select(ids.columns), on=ids.columns, how="anti"))


def legacy_ids(
    context: ReverseContext, session: PlainSession, table: SyncTable, inverses: list[PartInverse], keys: pl.Series
) -> Iterator[tuple[PartInverse, pl.DataFrame, dict[str, str]]]:
    """For each part the columns that find its rows, and whose they are: KEY by the legacy row's id (see Place.ids)."""
    types = {name: table.plan.schema[name] for name in table.plan.key}
    if table.plan.defines_members:
        records = Records(context.target, context.plan.schema)
        records.read(int(key) for key in keys)
        for inverse in inverses:
            system = inverse.part.part.defines_member
            if system is not None:
                named = {one: key for key in keys for one in records.of(int(key)).get(system.name, ())}
                if named:
                    yield inverse, key_frame(inverse.part, named), named
        return
    left = list(keys)
    for inverse in sorted(inverses, key=lambda one: prefix_of(one) is None):
        rows = decode_keys(pl.Series(left, dtype=pl.String), types)
        mine = [key for key, row in zip(left, rows.iter_rows(named=True), strict=True) if is_of(inverse, row, ())]
        if not mine:
            continue
        left = [key for key in left if key not in set(mine)]
        part = inverse.part.part
        made = inverse.legacy_keys(decode_keys(pl.Series(mine, dtype=pl.String), types))
        if made is None:
            continue
        noted = entries_by_target(session, part.source.database, part.name, mine) if inverse.identity else {}
        texts = [noted.get(key, one) for key, one in zip(mine, encode_keys(made), strict=True)]
        owners = {text: key for text, key in zip(texts, mine, strict=True) if text is not None}
        yield inverse, decode_keys(pl.Series(list(owners), dtype=pl.String), inverse.part.key_schema), owners

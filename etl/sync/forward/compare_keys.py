"""Deletes that nothing tells: rows of the target for which the legacy side has no row any more, found by comparing all keys.

Of the legacy keys eight bytes each are held; whatever seems to be gone is looked for once more by key before it counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.errors import ConfigurationError
from etl.load.sql import name_list, sql
from etl.reconcile.expected import Expectation
from etl.reconcile.legacy_keys import keys_alone, read_expected_of
from etl.reconcile.plan import PartPlan, encode_keys
from etl.sync.forward.gather_members import ids_of
from etl.sync.forward.read_rows import all_rows
from etl.sync.forward.records import read_rows_by_key, work_on
from etl.sync.forward.transform import LEGACY as LEGACY_KEY
from etl.sync.forward.transform import born_keys, members_of, with_born_keys
from etl.sync.forward.upsert import IN_STEP
from etl.sync.forward.work import Work
from etl.sync.model import KEY
from etl.target.connect import connect_bulk

BATCH_ROWS = 20_000
SEED = 7
SUSPECTS = 20_000
"""Rows looked for once more in one pass; the others wait for the next comparison."""

Hashes = npt.NDArray[np.uint64]


def gone_rows(work: Work) -> pl.DataFrame:
    """KEY and the key's columns of target rows, in step, that no legacy row of any part stands for."""
    there = hashes_of(key for part in work.plan.parts for key in legacy_target_keys(work, part))
    suspects = [pl.DataFrame(schema={name: work.plan.schema[name] for name in work.plan.key})]
    count = 0
    with connect_bulk(work.context.settings.target) as reader:
        statement = sql(
            "SELECT {key} FROM {schema}.{table} WHERE {in_step}",
            {"schema": work.context.plan.schema, "table": work.plan.target},
            key=name_list(work.plan.key),
            in_step=IN_STEP,
        )
        for frame in reader.read_frame(statement, dict(suspects[0].schema), batch_rows=BATCH_ROWS):
            missing = frame.filter(~is_known(there, encode_keys(frame.select(work.plan.key))))
            if count < SUSPECTS:
                suspects.append(missing)
            count += missing.height
    found = pl.concat(suspects).head(SUSPECTS)
    found = found.join(still_there(work, found), on=list(work.plan.key), how="anti")
    return found.with_columns(encode_keys(found.select(work.plan.key)).alias(KEY))


def gone_records(work: Work) -> pl.Series:
    """Legacy ids of the crosswalk, of the part's system, that the legacy side has no record of any more."""
    system = work.part.part.defines_member
    assert system is not None, "only parts that define members have records"
    there = hashes_of(ids_of(work, keys) for keys in legacy_keys(work, work.part))
    statement = sql("SELECT source_id FROM {schema}.member_source WHERE source = %s", {"schema": work.context.plan.schema})
    suspects = [pl.Series("source_id", [], dtype=pl.String)]
    with connect_bulk(work.context.settings.target) as reader:
        for frame in reader.read_frame(statement, {"source_id": pl.String()}, (system.name,), batch_rows=BATCH_ROWS):
            suspects += [frame["source_id"].filter(~is_known(there, frame["source_id"]))]
    found = pl.concat(suspects).head(SUSPECTS)
    if found.is_empty():
        return found
    again = read_rows_by_key(work, found)
    return found.filter(~found.is_in(ids_of(work, encode_keys(again.select(work.part.part.key))).implode()))


def legacy_keys(work: Work, part: PartPlan) -> Iterator[pl.Series]:
    """All legacy keys of a part, as `encode_keys` writes them."""
    for page in all_rows(work.session, keys_alone(part) or part, BATCH_ROWS):
        yield page[KEY]


def legacy_target_keys(work: Work, part: PartPlan) -> Iterator[pl.Series]:
    """Keys of all target rows that the legacy rows of a part make. Raises ConfigurationError where keys alone do not tell."""
    narrow = keys_alone(part)
    if narrow is None:
        raise ConfigurationError(
            f"{part.part.name} takes its key from another table, so rows that were deleted cannot be found by comparing keys.",
            f"Switch Change Tracking on: ALTER TABLE {part.part.source.quoted} ENABLE CHANGE_TRACKING.",
        )
    with work_on(work.context, work, work.table, part) as there:
        for frame in all_rows(there.session, narrow, BATCH_ROWS):
            outcome = narrow.compiled.apply(frame, members_of(narrow, frame, there.lookup, None, None), {})
            kept = frame[KEY] if outcome.kept is None else frame[KEY].filter(outcome.kept)
            rows = outcome.rows.select(pl.col(name).cast(work.plan.schema[name]) for name in work.plan.key)
            born = born_keys(there.session, part, kept, there=there.head.born)
            rows = with_born_keys(work.plan, rows.with_columns(kept.alias(LEGACY_KEY)), born)
            yield encode_keys(rows.select(work.plan.key))


def still_there(work: Work, keys: pl.DataFrame) -> pl.DataFrame:
    """Those of these target keys that some legacy row makes after all."""
    found = [keys.clear()]
    if keys.is_empty():
        return found[0]
    for part in work.plan.parts:
        with work_on(work.context, work, work.table, part) as there:
            batches = read_expected_of(there.session, Expectation(work.plan, there.lookup), part, there.beside, keys, BATCH_ROWS)
            found += [batch.rows.select(work.plan.key).join(keys, on=list(work.plan.key), how="semi") for batch in batches]
    return pl.concat(found).unique()


def hashes_of(keys: Iterator[pl.Series]) -> Hashes:
    """Sorted hashes of keys. Two keys of one hash would hide a delete, once in 2**64 pairs; nothing is deleted for it."""
    parts = [some.drop_nulls().hash(seed=SEED).to_numpy() for some in keys]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.uint64)


def is_known(there: Hashes, keys: pl.Series) -> pl.Series:
    """Which keys are among them."""
    if not there.size:
        return pl.Series([False] * len(keys), dtype=pl.Boolean)
    hashes = keys.hash(seed=SEED).to_numpy()
    at = np.minimum(np.searchsorted(there, hashes), there.size - 1)
    return pl.Series(there[at] == hashes)

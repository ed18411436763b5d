"""What changed legacy rows make of target rows: the part's own mapping, with the crosswalk as it is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from etl.reconcile.by_key import LookupNow
from etl.reconcile.expected import is_own_id, with_all_columns
from etl.reconcile.legacy_keys import keys_alone
from etl.reconcile.plan import PartPlan, TablePlan, decode_keys, encode_keys
from etl.source.session import Session
from etl.sync.model import KEY
from etl.sync.reverse.legacy_tables import entries_by_legacy

LEGACY: Final = "__legacy"
"""Column of transformed rows: the legacy row's key as `encode_keys` writes it."""

LINK: Final = "__link"
"""Column of transformed members: the legacy id as the crosswalk writes it."""

SINCE: Final = "__since"
"""Column of transformed members: since when the id is known."""

Lookups = Mapping[str, pl.DataFrame]
Ensure = Callable[[str, pl.Series], None]
"""Bring in members of a system by their legacy ids, which rows refer to before sync has seen them."""


@dataclass(frozen=True)
class Transformed:
    """Rows of one part. `rows`: the table's columns, KEY, LEGACY, and LINK and SINCE for a part that defines members. `rejects`:
    why others were left out (FINDING_SCHEMA). `accepted`: their keys as the quarantine writes them."""

    rows: pl.DataFrame
    rejects: pl.DataFrame
    accepted: pl.Series


def transform(
    plan: TablePlan,
    part: PartPlan,
    frame: pl.DataFrame,
    lookup: LookupNow,
    beside: Lookups,
    *,
    born: Mapping[str, str] | None = None,
    ensure: Ensure | None = None,
    own: pl.Series | None = None,
) -> Transformed:
    """Make target rows of legacy rows.

    `born`: target keys of legacy rows that reverse inserted, by legacy key. `own`: for a part that defines members, the member of
    each row of `frame`, in place of what its id would say.
    """
    members = members_of(part, frame, lookup, ensure, own)
    outcome = part.compiled.apply(frame, members, beside)
    encoded, names = encode_keys(frame.select(part.part.key)), part.compiled.source_keys(frame)
    if outcome.kept is not None:
        encoded, names = encoded.filter(outcome.kept), names.filter(outcome.kept)
    rows = with_all_columns(outcome.rows, plan).with_columns(encoded.alias(LEGACY))
    if born:
        rows = with_born_keys(plan, rows, born)
    rows = rows.with_columns(encode_keys(rows.select(plan.key)).alias(KEY))
    if outcome.links is not None:
        rows = rows.with_columns(outcome.links["source_id"].alias(LINK), outcome.links["valid_from"].alias(SINCE))
    return Transformed(rows, outcome.rejects, names)


def members_of(
    part: PartPlan, frame: pl.DataFrame, lookup: LookupNow, ensure: Ensure | None, own: pl.Series | None
) -> dict[str, pl.Series]:
    """Member ids for each reference of a part. An id that nobody knows yet is asked for once."""
    keys = part.compiled.member_keys(frame)
    ids: dict[str, pl.Series] = {}
    for reference in part.compiled.member_references:
        name, wanted = reference.target_column, keys[reference.target_column]
        if own is not None and is_own_id(part, name):
            ids[name] = own.alias(name)
            continue
        found = lookup(reference.system, wanted)
        unknown = wanted.filter(found.is_null() & wanted.is_not_null()).unique()
        if ensure is not None and not unknown.is_empty():
            ensure(reference.system, unknown)
            found = lookup(reference.system, wanted)
        ids[name] = found
    return ids


def with_born_keys(plan: TablePlan, rows: pl.DataFrame, born: Mapping[str, str]) -> pl.DataFrame:
    """Rows that stand for target rows born there, under the keys these have."""
    types = {name: plan.schema[name] for name in plan.key}
    known = pl.DataFrame({LEGACY: list(born)}, schema={LEGACY: pl.String}).with_columns(
        decode_keys(pl.Series(list(born.values()), dtype=pl.String), types).rename({name: f"__born_{name}" for name in types})
    )
    joined = rows.join(known, on=LEGACY, how="left", maintain_order="left")
    return joined.with_columns(pl.coalesce(f"__born_{name}", name).alias(name) for name in types).select(rows.columns)


def born_keys(session: Session, part: PartPlan, legacy_keys: pl.Series, *, there: bool) -> dict[str, str]:
    """Target keys of legacy rows that reverse inserted. `there`: whether its table is."""
    if not there or legacy_keys.is_empty():
        return {}
    return entries_by_legacy(session, part.part.source.database, part.part.name, legacy_keys.to_list())


def target_keys(
    plan: TablePlan, part: PartPlan, legacy_keys: pl.Series, lookup: LookupNow, born: Mapping[str, str]
) -> pl.DataFrame:
    """KEY, LEGACY and the key's columns of the target rows that legacy rows made, told by their keys alone: the rows are gone.

    Keys that make none are left out, and so is every key of a part whose target key takes more than the legacy key.
    """
    narrow = keys_alone(part)
    if narrow is None or not set(narrow.compiled.source_columns) or not needs_only_keys(narrow):
        return pl.DataFrame(schema={**{name: plan.schema[name] for name in plan.key}, LEGACY: pl.String, KEY: pl.String})
    frame = decode_keys(legacy_keys, part.key_schema)
    outcome = narrow.compiled.apply(frame, members_of(narrow, frame, lookup, None, None), {})
    kept = legacy_keys if outcome.kept is None else legacy_keys.filter(outcome.kept)
    rows = outcome.rows.select(pl.col(name).cast(plan.schema[name]) for name in plan.key).with_columns(kept.alias(LEGACY))
    if born:
        rows = with_born_keys(plan, rows, born)
    return rows.with_columns(encode_keys(rows.select(plan.key)).alias(KEY))


def needs_only_keys(narrow: PartPlan) -> bool:
    """Whether the target's key comes from the legacy key alone."""
    return all(set(plan.mapping.sources) <= set(narrow.part.key) for plan in narrow.compiled.plans)

"""Whatever the stage holds, each row is either loaded, and then fits the target, or refused with a reason that is true."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.mapping.compile import CompiledPart
from etl.mapping.outcome import TransformOutcome
from etl.target.columns import TargetColumn
from tests.unit.mapping.frames import staged
from tests.unit.mapping.schemas import compiled

TEXT = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=60), st.text("好ａa\x00 \t'\"\\", max_size=450))
VALUES: dict[type[pl.DataType], st.SearchStrategy[object]] = {
    pl.String: TEXT,
    pl.Boolean: st.one_of(st.none(), st.booleans()),
    pl.UInt8: st.one_of(st.none(), st.integers(0, 255)),
    pl.Int16: st.integers(-(2**15), 2**15 - 1),
    pl.Int32: st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    pl.Int64: st.integers(-(2**63), 2**63 - 1),
    pl.Date: st.one_of(st.none(), st.dates()),
    pl.Datetime: st.one_of(st.none(), st.datetimes(), st.just(datetime(1900, 1, 1)), st.just(datetime(9999, 12, 31))),
    pl.Decimal: st.one_of(
        st.none(), st.decimals(min_value=Decimal(-922337203685477), max_value=Decimal(922337203685477), places=4)
    ),
}
PARTS = ["member/crm", "member/pos", "member/ecom", "points_ledger/crm", "sale/pos"]


def frames_of(part: CompiledPart) -> st.SearchStrategy[pl.DataFrame]:
    """Any rows at all of a part's source."""
    schema = staged(part, []).schema
    rows = st.fixed_dictionaries({name: VALUES[type(dtype)] for name, dtype in schema.items()})
    return st.lists(rows, min_size=1, max_size=8).map(lambda some: pl.DataFrame(some, schema=schema))


def run(part: CompiledPart, frame: pl.DataFrame) -> TransformOutcome:
    """Apply with every third member unknown."""
    ids = pl.Series([None if number % 3 == 0 else number for number in range(1, frame.height + 1)], dtype=pl.Int64)
    return part.apply(frame, {reference.target_column: ids for reference in part.member_references})


@pytest.mark.parametrize("name", PARTS)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_every_row_is_loaded_or_refused_and_what_is_loaded_fits(name: str, data: st.DataObject) -> None:
    part = compiled(name)
    frame = data.draw(frames_of(part))
    outcome = run(part, frame)
    kept = outcome.kept if outcome.kept is not None else pl.Series([True] * frame.height)
    assert outcome.rows.height == kept.sum()
    refused = set(part.source_keys(frame.filter(~kept)))
    assert refused == set(outcome.rejects["source_key"])
    for column in part.target_columns:
        for value in outcome.rows[column.name]:
            assert fits(value, column), (column, value)
    alone = [run_row(part, frame, at) for at in range(frame.height)]
    assert [rows.height == 1 for rows in alone] == kept.to_list()


def run_row(part: CompiledPart, frame: pl.DataFrame, at: int) -> pl.DataFrame:
    """The outcome of one row by itself, with the member id it had among the others."""
    member = None if (at + 1) % 3 == 0 else at + 1
    ids = {reference.target_column: pl.Series([member], dtype=pl.Int64) for reference in part.member_references}
    return part.apply(frame.slice(at, 1), ids).rows


def fits(value: object, column: TargetColumn) -> bool:
    """May this value be written to this column without the server changing it?"""
    match value:
        case None:
            return column.nullable
        case bool():
            return column.kind == "integer"
        case int():
            least, most = column.bounds
            return least <= value <= most
        case str():
            return len(value) <= (column.length or 0)
        case Decimal():
            assert column.precision is not None
            assert column.scale is not None
            digits = value.as_tuple()
            return -int(digits.exponent) <= column.scale and abs(value) < Decimal(10) ** (column.precision - column.scale)
        case datetime() | date():
            return value.year >= 1000
        case _:
            return False


def test_ten_thousand_mangled_rows_all_end_somewhere() -> None:
    part = compiled("member/crm")
    rng = np.random.default_rng(20170711)
    count = 10_000
    letters = np.array(list("王小明先生 Ａ0123456789-+@.\x00\x07\t\u200bß😀'\\"))
    mangled = ["".join(rng.choice(letters, rng.integers(0, 60))) or None for _ in range(count)]
    schema = staged(part, []).schema
    moments = pl.Series(rng.integers(-(2**60), 2**60, count)).cast(pl.Datetime("us"))
    frame = pl.DataFrame(
        {
            name: pl.Series(mangled).gather(rng.permutation(count))
            if dtype == pl.String
            else moments.gather(rng.permutation(count)).clip(datetime(1, 1, 1), datetime(9999, 12, 31))
            if dtype == pl.Datetime
            else pl.Series(rng.integers(0, 9, count)).cast(dtype)
            if dtype.is_numeric()
            else pl.Series(rng.random(count) < 0.01)
            for name, dtype in schema.items()
        }
    ).with_columns(MemberId=pl.Series(range(count), dtype=pl.Int32))
    outcome = run(part, frame)
    assert outcome.kept is not None
    assert outcome.rows.height + outcome.rejects["source_key"].n_unique() == count
    assert 0 < outcome.rows.height < count
    assert outcome.rejects["reason"].null_count() == 0
    assert set(outcome.notes["source_key"]) <= {str(key) for key in outcome.rows["member_id"]}

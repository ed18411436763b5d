"""One batch in one transaction: what stays, what is quarantined, and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import polars as pl
import pytest

from etl.load.checkpoint import read_covered
from etl.load.ranges import Rows
from etl.load.rejects import RejectFilter, read_rejects
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError
from tests.integration.load.support import batch_of, part_for, writer_for

COLUMNS = ("campaign_id", "code", "name", "channel", "budget", "starts_at")


def campaigns(count: int, first: int = 1) -> pl.DataFrame:
    """Good rows of the campaign table."""
    ids = range(first, first + count)
    return pl.DataFrame(
        {
            "campaign_id": list(ids),
            "code": [f"C{number}" for number in ids],
            "name": [f"春季 {number}" for number in ids],
            "channel": ["app"] * count,
            "budget": [Decimal(number) / 4 for number in ids],
            "starts_at": [datetime(2026, 1, 1, 8, 30)] * count,
        },
        schema_overrides={"budget": pl.Decimal(19, 4), "starts_at": pl.Datetime("us"), "campaign_id": pl.Int64},
    )


def count(connection: BulkConnection, settings: TargetSettings) -> int:
    """Rows of the campaign table."""
    return int(connection.scalar(f"SELECT COUNT(*) FROM `{settings.schema_name}`.campaign"))


def test_good_batch_is_loaded_with_its_checkpoint_once(connection: BulkConnection, ready_target: TargetSettings) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    writer = writer_for(connection, ready_target)
    batch = batch_of(part, campaigns(250), first=40)

    counts = writer.write(batch)
    again = writer.write(batch)

    assert (counts.loaded, counts.unchanged, counts.rejected) == (250, 0, 0)
    assert again.loaded == 0
    assert count(connection, ready_target) == 250
    assert read_covered(connection, ready_target.state_schema, part.name) == {"a" * 64: (Rows(40, 290),)}


def test_bad_rows_stand_alone_with_true_reasons_and_the_others_are_loaded(
    connection: BulkConnection, ready_target: TargetSettings
) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    rows = campaigns(400).with_columns(
        code=pl.when(pl.col("campaign_id") == 17).then(pl.lit("C" * 21)).otherwise("code"),
        name=pl.when(pl.col("campaign_id") == 99).then(None).otherwise("name"),
        channel=pl.when(pl.col("campaign_id").is_in([250, 251])).then(pl.lit("汉" * 21)).otherwise("channel"),
    )

    counts = writer_for(connection, ready_target).write(batch_of(part, rows))

    assert (counts.loaded, counts.rejected) == (396, 4)
    assert count(connection, ready_target) == 396
    found = {
        (reject.source_key, reject.column_name, reject.reason)
        for reject in read_rejects(connection, ready_target.state_schema, RejectFilter())
    }
    assert found == {
        ("17", "code", "too_long"),
        ("99", "name", "null_not_allowed"),
        ("250", "channel", "too_long"),
        ("251", "channel", "too_long"),
    }
    (covered,) = read_covered(connection, ready_target.state_schema, part.name).values()
    assert covered == (Rows(0, 400),)


def test_rows_already_there_count_as_unchanged_and_differing_ones_are_told(
    connection: BulkConnection, ready_target: TargetSettings
) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    writer = writer_for(connection, ready_target)
    writer.write(batch_of(part, campaigns(100)))
    changed = campaigns(150).with_columns(
        budget=pl.when(pl.col("campaign_id") == 7).then(pl.lit(Decimal("1.5000"), dtype=pl.Decimal(19, 4))).otherwise("budget")
    )

    counts = writer.write(batch_of(part, changed, sha="b" * 64))

    assert (counts.loaded, counts.unchanged, counts.rejected) == (50, 99, 1)
    (reject,) = read_rejects(connection, ready_target.state_schema, RejectFilter())
    assert (reject.source_key, reject.column_name, reject.reason) == ("7", "budget", "differs_from_target")
    assert count(connection, ready_target) == 150


def test_duplicates_within_a_batch_keep_the_first(connection: BulkConnection, ready_target: TargetSettings) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    twice = pl.concat(
        [
            campaigns(20),
            campaigns(1).with_columns(name=pl.lit("another")),  # the key of row 1, other values
            campaigns(1, first=2),  # row 2 again, equal
            campaigns(1, first=50).with_columns(
                code=pl.lit("C3 ")
            ),  # the code of row 3 but for a space, which the target ignores
        ]
    )

    counts = writer_for(connection, ready_target).write(batch_of(part, twice))

    assert (counts.loaded, counts.unchanged, counts.rejected) == (20, 1, 2)
    found = {(r.source_key, r.column_name, r.reason) for r in read_rejects(connection, ready_target.state_schema, RejectFilter())}
    assert found == {("1", "campaign_id", "duplicate_key"), ("50", "code", "duplicate_key")}


def test_a_unique_code_taken_by_another_row_of_the_target_is_a_duplicate(
    connection: BulkConnection, ready_target: TargetSettings
) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    writer = writer_for(connection, ready_target)
    writer.write(batch_of(part, campaigns(10)))

    counts = writer.write(batch_of(part, campaigns(10, first=100).with_columns(code=pl.lit("C5")).head(1), sha="b" * 64))

    assert (counts.loaded, counts.rejected) == (0, 1)
    (reject,) = read_rejects(connection, ready_target.state_schema, RejectFilter())
    assert (reject.source_key, reject.reason) == ("100", "duplicate_key")


def test_a_row_loaded_later_settles_its_reject(connection: BulkConnection, ready_target: TargetSettings) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    writer = writer_for(connection, ready_target)
    bad = campaigns(3).with_columns(code=pl.when(pl.col("campaign_id") == 2).then(pl.lit("x" * 30)).otherwise("code"))
    writer.write(batch_of(part, bad))
    assert len(read_rejects(connection, ready_target.state_schema, RejectFilter())) == 1

    replace(writer, waiting=frozenset({"2"})).write(batch_of(part, campaigns(3), sha="b" * 64))

    assert read_rejects(connection, ready_target.state_schema, RejectFilter()) == ()
    (settled,) = read_rejects(connection, ready_target.state_schema, RejectFilter(settled=True))
    assert settled.settled_at is not None


def test_a_missing_table_stops_the_load_and_leaves_nothing(connection: BulkConnection, ready_target: TargetSettings) -> None:
    """An error that is not a row's fault must never end as a reject of every row."""
    there = part_for(connection, ready_target, "campaign", COLUMNS, ())
    part = replace(there, table="no_such_table")

    with pytest.raises(ServerError):
        writer_for(connection, ready_target).write(batch_of(part, campaigns(5)))

    assert read_covered(connection, ready_target.state_schema, part.name) == {}
    assert read_rejects(connection, ready_target.state_schema, RejectFilter()) == ()

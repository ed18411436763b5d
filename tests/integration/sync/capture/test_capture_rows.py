"""Scan, marks, tail pass and sweep, each on real rows."""

from __future__ import annotations

import time
from decimal import Decimal

import polars as pl
import pytest

from etl.sync.capture.marks import mark_in_step, mark_rows, marking
from etl.sync.capture.rows import SYNCED_AT, UPDATED_AT, microseconds
from etl.sync.capture.scan import scan_dirty, tables_with_rows
from etl.sync.capture.sweep import count_dirty_rows, sweep_dirty
from etl.sync.capture.tail import SentImages, tail_pass
from etl.sync.digest import digest, pack
from etl.sync.model import KEY
from tests.integration.sync.capture.conftest import Place, keys_of, rows_of


def now(place: Place) -> int:
    """The target's clock."""
    return microseconds(place.connection.scalar("SELECT NOW(6)"))


def test_rows_come_in_the_order_of_their_change_with_every_column(place: Place) -> None:
    since = now(place)
    place.execute("UPDATE line SET amount = amount + 1 WHERE sale_no = 'B'")
    place.execute("UPDATE line SET note = '改' WHERE sale_no = 'A'")
    pages = list(scan_dirty(place.connection, place.schema, place.table, since))
    assert keys_of(pages) == ["B|1", "A|1", "A|2"]
    row = pages[0].rows.row(0, named=True)
    assert (row["amount"], row["weight"], row["note"], row["store_code"]) == (Decimal("4.0000"), 0.0, "", "S1")
    assert row[UPDATED_AT] > row[SYNCED_AT]
    assert tables_with_rows(place.connection, place.schema, {"line": since}, [place.table]) == (place.table,)
    assert tables_with_rows(place.connection, place.schema, {"line": now(place)}, [place.table]) == ()


@pytest.mark.parametrize("page_rows", [1, 2, 7, 1000])
def test_pages_cut_through_rows_of_one_time_without_losing_any(place: Place, page_rows: int) -> None:
    since = now(place)
    rows = ", ".join(f"('{'ab'[n % 2]}', {n}, '{n % 5}')" for n in range(40))
    place.execute(f"INSERT INTO line (sale_no, line_no, note) VALUES {rows}")  # one statement: one time
    place.execute("UPDATE line SET note = 'x' WHERE sale_no = 'B'")
    keys = keys_of(scan_dirty(place.connection, place.schema, place.table, since, page_rows))
    assert len(keys) == len(set(keys)) == 41
    assert keys[-1] == "B|1"


def test_a_row_changed_after_it_was_read_is_not_marked(place: Place) -> None:
    since = now(place)
    place.execute("UPDATE line SET amount = 5")
    read = rows_of(scan_dirty(place.connection, place.schema, place.table, since))
    place.execute("UPDATE line SET amount = 6 WHERE line_no = 2")
    place.execute("DELETE FROM line WHERE sale_no = 'B'")
    assert mark_rows(place.connection, place.schema, place.table, read) == ["A\x1f1"]
    assert keys_of(sweep_dirty(place.connection, place.schema, place.table)) == ["A|2"]
    times = place.connection.query("SELECT updated_at = synced_at FROM line WHERE line_no = 1")
    assert [int(same) for (same,) in times] == [1]


def test_a_locked_row_is_left_dirty_and_its_neighbours_are_marked(place: Place) -> None:
    place.execute("UPDATE line SET amount = 5")
    read = rows_of(sweep_dirty(place.connection, place.schema, place.table))
    with place.another() as other:
        other.begin()
        other.execute("UPDATE line SET amount = 6 WHERE sale_no = 'A' AND line_no = 2")
        begun = time.monotonic()
        with marking(place.connection):
            marked = mark_in_step(place.connection, place.schema, place.table, read)
            place.execute("INSERT INTO line (sale_no, line_no) VALUES ('beside', 1)")
        assert time.monotonic() - begun < 3
        other.commit()
    assert sorted(marked) == ["A\x1f1", "B\x1f1"]
    assert sorted(keys_of(sweep_dirty(place.connection, place.schema, place.table))) == ["A|2", "beside|1"]


def test_marks_and_what_belongs_to_them_are_undone_together(place: Place) -> None:
    place.execute("UPDATE line SET amount = 5")
    read = rows_of(sweep_dirty(place.connection, place.schema, place.table))

    def fail() -> None:
        with marking(place.connection):
            assert len(mark_in_step(place.connection, place.schema, place.table, read)) == 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert count_dirty_rows(place.connection, place.schema, place.table.name) == 3


def test_a_second_write_of_the_same_microsecond_is_sent_again(place: Place) -> None:
    since, sent = now(place), SentImages()
    place.execute("UPDATE line SET note = 'first'")
    read = rows_of(scan_dirty(place.connection, place.schema, place.table, since))
    place.execute("UPDATE line SET note = 'second', updated_at = updated_at WHERE sale_no = 'B'")
    sent.remember(place.table, read)
    assert len(mark_rows(place.connection, place.schema, place.table, read)) == 3
    again = list(tail_pass(place.connection, place.schema, place.table, since, sent))
    assert keys_of(again) == ["B|1"]
    assert again[0].rows["note"].to_list() == ["second"]
    sent.remember(place.table, again[0].rows)
    assert list(tail_pass(place.connection, place.schema, place.table, since, sent)) == []
    sent.forget(now(place) + 1)
    assert sent.settle().is_empty()


def test_after_a_restart_the_tail_pass_holds_rows_against_what_both_sides_had_in_common(place: Place) -> None:
    since = now(place)
    place.execute("UPDATE line SET note = 'first'")
    read = rows_of(scan_dirty(place.connection, place.schema, place.table, since))
    bases = {
        row[KEY]: pack(place.table.kept, {name: digest(row[name]) for name in place.table.kept})
        for row in read.iter_rows(named=True)
    }
    del bases["A\x1f1"]  # nothing is known of it: it is passed over
    mark_rows(place.connection, place.schema, place.table, read)
    place.execute("UPDATE line SET note = 'second', updated_at = updated_at WHERE line_no = 1")
    forgetful = SentImages()
    assert keys_of(tail_pass(place.connection, place.schema, place.table, since, forgetful, lambda _: bases)) == ["B|1"]


def test_remembered_images_are_bounded(place: Place) -> None:
    sent = SentImages(limit=2)
    place.execute("UPDATE line SET note = 'x'")
    rows = rows_of(sweep_dirty(place.connection, place.schema, place.table)).sort(KEY)
    sent.remember(place.table, rows)
    sent.remember(place.table, rows[:1])
    assert sent.settle()[KEY].to_list() == ["B\x1f1", "A\x1f1"]


def test_a_page_of_which_nothing_was_sent_is_no_memory(place: Place) -> None:
    """Sync would end with a bug: an empty memory has no first time."""
    sent = SentImages()
    place.execute("UPDATE line SET note = 'x'")
    sent.remember(place.table, rows_of(sweep_dirty(place.connection, place.schema, place.table)).clear())
    assert sent.is_empty
    assert list(tail_pass(place.connection, place.schema, place.table, 0, sent)) == []


def test_rows_that_were_sent_and_could_not_be_marked_are_not_sent_again(place: Place) -> None:
    sent = SentImages()
    place.execute("UPDATE line SET note = 'x'")
    read = rows_of(sweep_dirty(place.connection, place.schema, place.table))
    sent.remember(place.table, read.filter(read["line_no"] == 1))
    place.execute("UPDATE line SET note = 'y', updated_at = updated_at WHERE sale_no = 'B'")
    now_read = rows_of(sweep_dirty(place.connection, place.schema, place.table))
    assert sorted(sent.not_sent(place.table, now_read)[KEY]) == ["A\x1f2", "B\x1f1"]


def test_the_backlog_of_a_store_is_counted_and_of_all_where_rows_name_no_store(place: Place) -> None:
    place.execute("UPDATE line SET amount = 5")
    assert count_dirty_rows(place.connection, place.schema, place.table.name) == 3
    assert count_dirty_rows(place.connection, place.schema, place.table.name, "S1") == 2
    assert count_dirty_rows(place.connection, place.schema, place.table.name, "S9") == 0


def test_a_sweep_finds_what_has_an_old_time(place: Place) -> None:
    place.execute("UPDATE line SET note = 'old', updated_at = '2020-01-01 00:00:00' WHERE sale_no = 'B'")
    place.execute("INSERT INTO line (sale_no, line_no) VALUES ('new', 1)")
    found = rows_of(sweep_dirty(place.connection, place.schema, place.table, page_rows=1))
    assert sorted(found[KEY]) == ["B\x1f1", "new\x1f1"]
    assert found.schema[UPDATED_AT] == pl.Datetime("us")

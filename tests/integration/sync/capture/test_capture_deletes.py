"""Deletes between two times, on TiDB; and the outbox, which both targets have."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from etl.errors import RefusedError
from etl.sync.capture.deletes import deleted_keys, still_gone
from etl.sync.capture.outbox import CREATE_OUTBOX, forget_outbox, outbox_pages, require_outbox, waiting_entries
from etl.sync.capture.requirements import find_future_rows, require_capturable
from etl.sync.model import KEY
from tests.integration.sync.capture.conftest import Place


def moment(place: Place) -> datetime:
    """A time between what was done and what follows."""
    time.sleep(0.05)
    at: datetime = place.connection.scalar("SELECT NOW(6)")
    time.sleep(0.05)
    return at


@pytest.mark.tidb
def test_keys_that_went_between_two_times(place: Place) -> None:
    rows = ", ".join(f"('{'s S|é'[n % 5]}', {n})" for n in range(50))
    place.execute(f"INSERT INTO line (sale_no, line_no) VALUES {rows}")
    before = moment(place)
    place.execute("INSERT INTO line (sale_no, line_no) VALUES ('short', 1)")
    place.execute("DELETE FROM line WHERE sale_no IN ('A', 'short') OR line_no = 47")
    place.execute("INSERT INTO line (sale_no, line_no) VALUES ('A', 2), ('later', 5)")
    after = moment(place)
    place.execute("DELETE FROM line WHERE sale_no = 'B'")
    time.sleep(0.05)
    gone = {"A\x1f1", f"{'s S|é'[47 % 5]}\x1f47"}
    for page_keys in (1, 7, 1000):
        pages = deleted_keys(place.connection, place.schema, place.table, before, after, page_keys=page_keys)
        assert {key for page in pages for key in page} == gone
    sent = deleted_keys(
        place.connection, place.schema, place.table, before, after, own=lambda keys: {"A\x1f1"} & set(keys), sent=["short\x1f1"]
    )
    assert {key for page in sent for key in page} == gone - {"A\x1f1"} | {"short\x1f1"}
    assert still_gone(place.connection, place.schema, place.table, ["A\x1f2", "B\x1f1"]) == ["B\x1f1"]


@pytest.mark.tidb
def test_deletes_older_than_the_versions_that_are_kept_are_refused(place: Place) -> None:
    now = moment(place)
    with pytest.raises(RefusedError, match="longer ago"):
        list(deleted_keys(place.connection, place.schema, place.table, now - timedelta(days=2), now))
    with pytest.raises(RefusedError, match="another name"):
        list(deleted_keys(place.connection, place.schema, place.table, now - timedelta(minutes=5), now))


def test_mariadb_says_that_it_cannot_know(place: Place) -> None:
    if place.connection.is_tidb:
        pytest.skip("MariaDB only")
    with pytest.raises(RefusedError, match="no old versions"):
        list(deleted_keys(place.connection, place.schema, place.table, moment(place), moment(place)))


def test_an_outbox_is_drained_by_deleting_what_was_sent(place: Place) -> None:
    with pytest.raises(RefusedError, match="has no table"):
        require_outbox(place.connection, place.schema, "outbox")
    numbered = "AUTO_RANDOM" if place.connection.is_tidb else "AUTO_INCREMENT"
    place.execute(CREATE_OUTBOX.format(schema=place.schema, outbox="outbox", numbered=numbered))
    require_outbox(place.connection, place.schema, "outbox")
    entries = ['["A", 1]', '{"line_no": 1, "sale_no": "B"}', '["A", 1]', "nonsense", '["A", "x"]', '["gone", 3]']
    for entry in entries:
        place.execute("INSERT INTO outbox (table_name, row_key, op) VALUES ('line', %s, 'U')", entry)
    place.execute("INSERT INTO outbox (table_name, row_key, op) VALUES ('other', '1', 'U')")
    (batch,) = outbox_pages(place.connection, place.schema, place.table, "outbox")
    assert sorted(batch.rows.rows[KEY]) == ["A\x1f1", "B\x1f1"]
    assert batch.deleted.to_list() == ["gone\x1f3"]
    assert (batch.count, len(batch.ids["A\x1f1"]), len(batch.unreadable)) == (6, 2, 2)
    place.execute("INSERT INTO outbox (table_name, row_key, op) VALUES ('line', '[\"A\", 2]', 'U')")
    forget_outbox(place.connection, place.schema, [*sum(batch.ids.values(), ()), *batch.unreadable], "outbox")
    (later,) = outbox_pages(place.connection, place.schema, place.table, "outbox")
    assert later.rows.rows[KEY].to_list() == ["A\x1f2"]
    assert waiting_entries(place.connection, place.schema, place.table, "outbox") == set(later.ids["A\x1f2"])
    for sale in range(5):
        place.execute("INSERT INTO outbox (table_name, row_key, op) VALUES ('line', %s, 'U')", f'["P", {sale}]')
    pages = list(outbox_pages(place.connection, place.schema, place.table, "outbox", page_entries=2))
    assert sorted(page.count for page in pages) == [2, 2, 2]  # entries that stay do not stand in the way of others
    place.execute("DELETE FROM outbox WHERE table_name = 'line'")
    assert list(outbox_pages(place.connection, place.schema, place.table, "outbox")) == []
    place.execute("ALTER TABLE outbox DROP INDEX ix_table")
    with pytest.raises(RefusedError, match="table_name"):
        require_outbox(place.connection, place.schema, "outbox")


def test_a_table_whose_times_or_index_do_not_show_every_write_is_refused(place: Place) -> None:
    require_capturable(place.connection, place.schema, place.table)
    place.execute("ALTER TABLE line DROP INDEX ix_sync")
    with pytest.raises(RefusedError, match="index"):
        require_capturable(place.connection, place.schema, place.table)
    place.execute("ALTER TABLE line ADD INDEX ix_sync (updated_at, synced_at)")
    place.execute("ALTER TABLE line MODIFY updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)")
    with pytest.raises(RefusedError, match="every write"):
        require_capturable(place.connection, place.schema, place.table)


def test_foreign_keys_that_change_rows_by_themselves_are_refused_where_they_do_not_show(place: Place) -> None:
    place.execute("CREATE TABLE head (sale_no VARCHAR(20) NOT NULL PRIMARY KEY) COLLATE utf8mb4_bin")
    place.execute("INSERT INTO head VALUES ('A'), ('B')")
    place.execute("ALTER TABLE line ADD CONSTRAINT fk_head FOREIGN KEY (sale_no) REFERENCES head (sale_no) ON UPDATE CASCADE")
    if place.connection.is_tidb:
        require_capturable(place.connection, place.schema, place.table)
    else:
        with pytest.raises(RefusedError, match="fk_head"):
            require_capturable(place.connection, place.schema, place.table)


def test_rows_from_the_future_are_told(place: Place) -> None:
    assert find_future_rows(place.connection, place.schema, place.table.name) is None
    place.execute("UPDATE line SET updated_at = NOW(6) + INTERVAL 1 HOUR WHERE sale_no = 'B'")
    found = find_future_rows(place.connection, place.schema, place.table.name)
    assert found is not None
    assert found.count == 1
    assert 3590 < found.ahead_s < 3610

"""What forward does when changes cannot be told any more, when it is killed, and when there is very much to do."""

from __future__ import annotations

import pytest

from etl.errors import RefusedError
from etl.names import SourceTable
from etl.sync.forward import append
from etl.sync.forward.context import Limits
from etl.sync.forward.resync import resync_table
from etl.sync.forward.round import fetch_size, forward_round
from etl.sync.forward.work import Work
from tests.integration.sync.forward.support import Sides, following

SIGN_IN = SourceTable("crm", "dbo", "SignIn")
ROWS = "INSERT INTO dbo.SignIn (MemberId, SignDate, SignTime, Channel) VALUES {rows}"


def sign_ins(sides: Sides, count: int, channel: str) -> None:
    """New rows of a table."""
    member = sides.rows("SELECT MIN(source_id + 0) FROM member_source WHERE source = 'crm'")[0][0]
    row = f"({int(member)}, '2024-05-01', '10:00:00', '{channel}')"
    for first in range(0, count, 1_000):
        sides.legacy("crm", ROWS.format(rows=", ".join([row] * min(1_000, count - first))))


def arrived(sides: Sides, channel: str) -> int:
    """How many of them are on the target."""
    return int(sides.rows("SELECT COUNT(*) FROM sign_in WHERE channel = %s", channel)[0][0])


def test_forgotten_changes_are_refused_and_compared(sides: Sides) -> None:
    """TRUNCATE ends what the server remembers; then rows come again, and one is not in step."""
    sign_ins(sides, 3, "KEPT")
    sides.run("crm")
    rows = sides.legacy("crm", "SELECT SignInId, MemberId, SignDate, SignTime, Channel FROM dbo.SignIn WHERE Channel = 'KEPT'")
    sides.legacy("crm", "TRUNCATE TABLE dbo.SignIn")
    with pytest.raises(RefusedError, match=r"forgotten changes of crm\.dbo\.SignIn") as refused:
        sides.run("crm")
    assert "membershift sync resync crm.dbo.SignIn" in refused.value.remedy
    sides.target.execute("UPDATE sign_in SET channel = 'MINE' WHERE sign_in_id = %s", (rows[0][0],))
    values = ", ".join(f"({row[0]}, {row[1]}, '2024-05-01', '10:00:00', 'BACK')" for row in rows[:2])
    sides.legacy(
        "crm",
        "SET IDENTITY_INSERT dbo.SignIn ON; INSERT INTO dbo.SignIn (SignInId, MemberId, SignDate, SignTime, Channel) "
        f"VALUES {values}; SET IDENTITY_INSERT dbo.SignIn OFF",
    )
    done = resync_table(sides.context, SIGN_IN)
    assert (done.rows, done.counts.written, done.counts.conflicts) == (2, 1, 1)
    found = sides.rows("SELECT channel FROM sign_in ORDER BY 1")
    assert found == [("BACK",), ("MINE",)]
    sign_ins(sides, 1, "AFTER")
    assert sides.run("crm")["sign_in"].written == 1


def test_a_source_that_went_back_is_refused(sides: Sides) -> None:
    state = sides.settings.target.state_schema
    sides.target.execute(f"UPDATE {state}.sync_position SET position = position + 1000 WHERE name = 'forward/pos.dbo.Store'")
    sides.context.looked.clear()
    with pytest.raises(RefusedError, match="went back"):
        sides.run("pos")
    assert resync_table(sides.context, SourceTable("pos", "dbo", "Store")).counts.written == 0
    sides.run("pos")


def test_a_source_that_was_restored_and_grew_past_the_position_is_refused(sides: Sides) -> None:
    """Another recovery fork is noted than the database is on: each table has to be compared before it is followed again."""
    state, tables = sides.settings.target.state_schema, ("pos.dbo.Store", "pos.dbo.Sale")
    assert len(sides.state("SELECT 1 FROM {s}.sync_position WHERE name LIKE 'fork/pos.%%' AND CHAR_LENGTH(detail) = 36")) == 5
    for table in tables:
        sides.target.execute(f"UPDATE {state}.sync_position SET detail = 'another' WHERE name = 'fork/{table}'")
    sides.run("pos")  # no restore while this connection lives
    with following(sides.settings, sides.shop) as again:
        for left in (tables, tables[1:]):
            with pytest.raises(RefusedError, match="was restored") as refused:
                again.run("pos")
            assert set(refused.value.remedy.partition("resync ")[2].split()) == set(left)
            schema, name = left[0].split(".")[1:]
            assert resync_table(again.context, SourceTable("pos", schema, name)).counts.written == 0
        again.run("pos")


def test_a_changed_table_is_refused(sides: Sides) -> None:
    sides.legacy("pos", "ALTER TABLE dbo.Product ALTER COLUMN Brand nvarchar(50) NULL")
    try:
        with following(sides.settings, sides.shop) as anew, pytest.raises(RefusedError, match=r"pos\.dbo\.Product is no longer"):
            anew.run("pos")
        sides.context.looked.clear()
        with pytest.raises(RefusedError, match=r"pos\.dbo\.Product is no longer"):
            sides.run("pos")
    finally:
        sides.legacy("pos", "ALTER TABLE dbo.Product ALTER COLUMN Brand nvarchar(40) NULL")
    sides.context.looked.clear()
    sides.run("pos")


def test_a_kill_after_any_page_loses_and_doubles_nothing(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_ins(sides, 10, "KILL")
    write = append.write_rows
    calls = 0

    def killed(work: Work, page: append.Page) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return write(work, page)

    monkeypatch.setattr(append, "write_rows", killed)
    with following(sides.settings, sides.shop, limits=Limits(page_rows=3)) as small, pytest.raises(KeyboardInterrupt):
        small.run("crm")
    assert arrived(sides, "KILL") == 6
    assert "after" in sides.position(str(SIGN_IN))[1]
    sign_ins(sides, 2, "KILL")
    monkeypatch.undo()
    assert sides.run("crm")["sign_in"].written == 6
    assert sides.run("crm")["sign_in"].written == 2  # those that came after the span was begun, once more
    assert arrived(sides, "KILL") == 12


def test_a_backlog_is_brought_over_in_bounded_pages(sides: Sides) -> None:
    sign_ins(sides, 5_000, "MANY")
    with following(sides.settings, sides.shop, limits=Limits(page_rows=500, fetch_rows=1_000, round_rows=2_000)) as small:
        written = [forward_round(small.context, "crm")["sign_in"].written for _ in range(3)]
    assert written == [2_000, 2_000, 1_000]
    assert arrived(sides, "MANY") == 5_000


def test_a_read_takes_as_many_rows_as_memory_is_given_for(sides: Sides) -> None:
    """Few long reads are much faster, and rows may be of any width."""
    sign_ins(sides, 1_000, "WIDE")
    limits = Limits(fetch_rows=200, fetch_bytes=20_000)
    with following(sides.settings, sides.shop, limits=limits) as small:
        assert small.run("crm")["sign_in"].written == 1_000
        width, rows = small.context.widths[SIGN_IN], fetch_size(small.context, SIGN_IN)
    assert width > 8
    assert rows * width <= 20_000 < (rows + 1) * width
    assert arrived(sides, "WIDE") == 1_000

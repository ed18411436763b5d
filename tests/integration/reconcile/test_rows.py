"""Rows of both sides are compared as typed columns: every lie that other validators tell is seen through, nothing is invented."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from etl.errors import UsageError
from etl.progress import Silent
from etl.reconcile.differences import Difference, Kind, ReconcileResult
from etl.reconcile.run import ReconcileRequest, run_reconcile
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from tests.integration.reconcile.conftest import Damage


def compare(settings: Settings, *tables: str, second_look_s: float | None = None, sample: float | None = None) -> ReconcileResult:
    """Run a comparison of some tables."""
    return run_reconcile(settings, ReconcileRequest(tables, second_look_s, sample), Silent())


def differences(result: ReconcileResult) -> list[Difference]:
    """All differences listed."""
    return [difference for table in result.tables for difference in table.differences]


def test_moved_data_agrees_and_quarantine_is_told_apart(moved: Settings, target: BulkConnection) -> None:
    """Rows that load put aside are not missing: each is in membershift.reject, and none of them is on the target."""
    result = compare(moved)
    assert result.total_differences == 0
    rejected = target.scalar(
        f"SELECT COUNT(DISTINCT mapping_part, source_key) FROM {moved.target.state_schema}.reject WHERE settled_at IS NULL"
    )
    assert result.in_quarantine == rejected > 0
    by_name = {table.table: table for table in result.tables}
    member = by_name["member"]
    assert member.source_rows == member.expected_rows + member.in_quarantine
    assert member.expected_rows == member.target_rows == member.equal_rows == by_name["member_source"].target_rows
    assert "updated_at" in member.uncompared_columns


LIES = {
    "joined fields": (
        "UPDATE member SET union_id = CONCAT(RIGHT(email, 1), union_id), email = LEFT(email, CHAR_LENGTH(email) - 1) "
        "WHERE member_id = {member}",
        {"email", "union_id"},
    ),
    "trimmed spaces": ("UPDATE member SET address = CONCAT(address, ' ') WHERE member_id = {member}", {"address"}),
    "case": (
        "UPDATE member SET email = CONCAT(UPPER(LEFT(email, 1)), SUBSTRING(email, 2)) WHERE member_id = {member}",
        {"email"},
    ),
    "accent": ("UPDATE member SET email = REPLACE(email, 'e', 'é') WHERE member_id = {member}", {"email"}),
    "text as bytes of a code page": (
        "UPDATE member SET address = CONCAT(LEFT(address, CHAR_LENGTH(address) - 1), '?') WHERE member_id = {member}",
        {"address"},
    ),
    "a microsecond": (
        "UPDATE member SET registered_at = registered_at + INTERVAL 1 MICROSECOND WHERE member_id = {member}",
        {"registered_at"},
    ),
    "a ten-thousandth": ("UPDATE member SET balance = balance + 0.0001 WHERE member_id = {member}", {"balance"}),
    "NULL against empty": ("UPDATE member SET last_seen_at = NULL, id_card = '' WHERE member_id = {member}", {"id_card"}),
}


def test_every_known_lie_is_seen(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """One damaged row for each way in which validators are known to be fooled; exactly these are found."""
    members = [
        int(row[0])
        for row in target.query(
            "SELECT member_id FROM member WHERE origin = 'crm' AND email LIKE '%%e%%' AND CHAR_LENGTH(union_id) < 32 "
            "AND address > '' AND id_card IS NULL AND balance < 1000 AND email NOT REGEXP '^[0-9A-Z]' ORDER BY member_id LIMIT 8"
        )
    ]
    planted = {f"member_id={member}": columns for member, (_, columns) in zip(members, LIES.values(), strict=True)}
    damage(*(sql.format(member=member) for member, (sql, _) in zip(members, LIES.values(), strict=True)), tables=("member",))
    found = {
        difference.key: {change.column for change in difference.columns} for difference in differences(compare(moved, "member"))
    }
    assert found == planted


def test_pairs_that_cancel_in_a_checksum_are_seen(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """Two rows with each other's values: sums and XORs of row hashes stay as they were."""
    (first, one), (second, other) = target.query("SELECT sale_no, total FROM sale WHERE channel = 'pos' ORDER BY total LIMIT 2")
    if one == other:
        (second, other) = target.query("SELECT sale_no, total FROM sale WHERE channel = 'pos' ORDER BY total DESC LIMIT 1")[0]
    damage(
        f"UPDATE sale SET total = {other} WHERE sale_no = '{first}'",
        f"UPDATE sale SET total = {one} WHERE sale_no = '{second}'",
        tables=("sale",),
    )
    assert {difference.key for difference in differences(compare(moved, "sale"))} == {f"sale_no={first}", f"sale_no={second}"}


def test_the_last_digit_of_a_float_is_seen(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """A double is compared bit by bit, not rounded to what a report would show."""
    damage(
        "UPDATE store SET latitude = latitude + 1e-14 WHERE latitude IS NOT NULL ORDER BY store_code LIMIT 1", tables=("store",)
    )
    (difference,) = differences(compare(moved, "store"))
    assert [(change.column, change.how) for change in difference.columns] == [("latitude", "last digits")]


def test_values_are_masked_and_their_difference_is_told(moved: Settings, damage: Damage) -> None:
    """No report shows what it must not, yet it says what is wrong."""
    damage(
        "UPDATE member SET name = CONCAT(name, ' ') WHERE origin = 'crm' AND name > '' ORDER BY member_id LIMIT 1",
        tables=("member",),
    )
    ((change,),) = (difference.columns for difference in differences(compare(moved, "member")))
    assert change.how == "spaces at the end"
    assert change.expected == change.actual
    assert change.expected[1:] == "***"


def test_a_wrong_crosswalk_entry_is_one_difference(moved: Settings, target: BulkConnection, damage: Damage) -> None:
    """Neither the members nor the sales that follow the crosswalk are told as different: the entries are."""
    pairs = target.query(
        "SELECT s.source_id, s.member_id FROM member_source AS s JOIN sale AS x ON x.member_id = s.member_id "
        "WHERE s.source = 'pos' GROUP BY s.source_id, s.member_id ORDER BY s.source_id LIMIT 4"
    )
    (one, first), (other, second), (third, elsewhere), (lost, fourth) = pairs
    damage(
        f"UPDATE member_source SET member_id = {second} WHERE source = 'pos' AND source_id = '{one}'",
        f"UPDATE member_source SET member_id = {first} WHERE source = 'pos' AND source_id = '{other}'",
        f"UPDATE member_source SET member_id = 1 WHERE source = 'pos' AND source_id = '{third}'",
        f"DELETE FROM member_source WHERE source = 'pos' AND source_id = '{lost}'",
        "UPDATE member_source SET member_id = 2 WHERE source = 'crm' AND source_id = '1'",
        "INSERT INTO member_source (source, source_id, member_id, valid_from, linked_by) "
        "VALUES ('pos', 'NOBODY', 1, NOW(6), 'x')",
        tables=("member",),
    )
    found = {
        (difference.table, difference.kind, difference.key, tuple(change.expected for change in difference.columns))
        for difference in differences(compare(moved, "member", "sale", "points_ledger"))
    }
    wrong = Kind.MERGED_WRONGLY
    assert found == {
        ("member_source", wrong, f"source=pos, source_id={one}", (str(first),)),
        ("member_source", wrong, f"source=pos, source_id={other}", (str(second),)),
        ("member_source", wrong, f"source=pos, source_id={third}", (str(elsewhere),)),
        ("member_source", wrong, "source=crm, source_id=1", ("1",)),
        ("member_source", Kind.MISSING, f"source=pos, source_id={lost}", (str(fourth),)),
        ("member_source", Kind.EXTRA, "source=pos, source_id=NOBODY", ()),
    }


def test_a_row_that_is_refused_but_not_in_quarantine_is_missing(moved: Settings, target: BulkConnection) -> None:
    """Nobody else would know of it."""
    state = moved.target.state_schema
    (part, key), *_ = target.query(
        f"SELECT mapping_part, source_key FROM {state}.reject WHERE settled_at IS NULL AND target_table = 'points_ledger' LIMIT 1"
    )
    where = f"WHERE mapping_part = '{part}' AND source_key = '{key}'"
    with target.transaction():
        target.execute(f"UPDATE {state}.reject SET settled_at = NOW(6) {where}")
    try:
        (difference,) = differences(compare(moved, "points_ledger"))
    finally:
        with target.transaction():
            target.execute(f"UPDATE {state}.reject SET settled_at = NULL {where}")
    assert (difference.kind, difference.source_key) == (Kind.MISSING, key)
    assert "not in quarantine" in difference.note


def test_what_is_gone_at_the_second_look_does_not_count(
    moved: Settings, target: BulkConnection, damage: Damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change on its way to the target is no difference; one that stays is."""
    (kept, passing, gone) = (int(row[0]) for row in target.query("SELECT entry_id FROM points_ledger ORDER BY entry_id LIMIT 3"))
    damage(
        f"UPDATE points_ledger SET delta = delta + 1 WHERE entry_id IN ({kept}, {passing})",
        f"DELETE FROM points_ledger WHERE entry_id = {gone}",
        "INSERT INTO points_ledger (entry_id, member_id, delta, reason, occurred_at, origin, origin_id) "
        "VALUES (3999999999999999, 1, 1, 'EVENT', NOW(6), 'crm', 'X1'), (3999999999999998, 1, 1, 'EVENT', NOW(6), 'crm', 'X2')",
        tables=("points_ledger",),
    )

    waited: list[float] = []

    def arrive(seconds: float) -> None:
        """What a sync would do between the looks."""
        waited.append(seconds)
        with connect_bulk(moved.target) as connection, connection.transaction():
            connection.execute(f"UPDATE points_ledger SET delta = delta - 1 WHERE entry_id = {passing}")
            connection.execute("DELETE FROM points_ledger WHERE entry_id = 3999999999999999")

    first = compare(moved, "points_ledger")
    assert first.total_differences == 5
    monkeypatch.setattr("etl.reconcile.run.time", SimpleNamespace(sleep=arrive))
    result = compare(moved, "points_ledger", second_look_s=6)
    assert waited == [6]
    assert {(difference.kind, difference.key) for difference in differences(result)} == {
        (Kind.CHANGED, f"entry_id={kept}"),
        (Kind.MISSING, f"entry_id={gone}"),
        (Kind.EXTRA, "entry_id=3999999999999998"),
    }


def test_a_sample_finds_what_is_wrong_everywhere(moved: Settings, damage: Damage) -> None:
    """Ranges taken by chance, at a fraction of the cost."""
    assert compare(moved, "member", sample=0.3).total_differences == 0
    damage("UPDATE sign_in SET channel = LOWER(channel)", tables=("sign_in",))
    (table,) = compare(moved, "sign_in", sample=0.3).tables
    assert 0 < table.counts[Kind.CHANGED] == table.source_rows - table.in_quarantine


def test_an_unknown_table_is_named_with_the_nearest(moved: Settings) -> None:
    """A typing error costs a second, not a search."""
    with pytest.raises(UsageError) as caught:
        compare(moved, "point_ledger")
    assert "points_ledger" in caught.value.remedy

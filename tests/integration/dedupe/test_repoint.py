"""Rows follow their member from retired ids to survivors, however many there are."""

from __future__ import annotations

import polars as pl
import pytest

from etl.dedupe import repoint
from etl.target.bulk import BulkConnection


def test_rows_of_retired_members_follow_and_no_others(target: BulkConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer ids a statement than there are, an id of 2^53, a member of nobody, and a survivor that has rows itself."""
    monkeypatch.setattr(repoint, "JOINED_IDS", 2)
    target.execute("CREATE TABLE following (row_no INT PRIMARY KEY, member_id BIGINT)")
    try:
        target.execute(
            "INSERT INTO following VALUES (1, 10), (2, 10), (3, 20), (4, 30), (5, 9007199254740993), (6, NULL), (7, 7)"
        )
        retired = pl.DataFrame({"survivor": [7, 7, 9007199254740992], "member_id": [10, 30, 9007199254740993]})
        with target.transaction():
            moved = repoint.repoint(target, "dedupe_m", "following", "member_id", retired)
        again = repoint.repoint(target, "dedupe_m", "following", "member_id", retired)

        assert (moved, again) == (4, 0)
        assert target.query("SELECT row_no, member_id FROM following ORDER BY row_no") == [
            (1, 7), (2, 7), (3, 20), (4, 7), (5, 9007199254740992), (6, None), (7, 7),
        ]  # fmt: skip
        assert repoint.repoint(target, "dedupe_m", "following", "member_id", retired.clear()) == 0
    finally:
        target.execute("DROP TABLE following")

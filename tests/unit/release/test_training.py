"""Training of the wave's stores, from the lists that people keep: CSV of any office program, Excel, counts or names."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from migrations.release.figures import Verdict
from migrations.release.gates.base import Answer
from migrations.release.gates.training import check_training
from migrations.release.plan_gates import TrainingGate

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PERSONS = TrainingGate()
COUNTS = TrainingGate(staff="staff")
STORES = ("S1", "S2")


def check(path: Path, gate: TrainingGate, content: bytes | list[list[Any]], *, stores: tuple[str, ...] = STORES) -> Answer:
    """The gate's answer on a file an hour old."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        book = xlsxwriter.Workbook(str(path))
        sheet = book.add_worksheet("people")
        for number, row in enumerate(content):
            sheet.write_row(number, 0, row)
        book.close()
    at = (NOW - timedelta(hours=1)).timestamp()
    os.utime(path, (at, at))
    return check_training(gate, path, stores, 5, NOW)


def persons(*, trained: int, of: int, store: str) -> str:
    """Lines of a list of people."""
    return "".join(f"{store},{'yes' if number < trained else 'no'},Ms {number}\n" for number in range(of))


def test_the_weakest_store_decides(tmp_path: Path) -> None:
    """What a bug would cost: a store whose people do not know the new till, hidden behind a well-trained one."""
    text = "store,trained,name\n" + persons(trained=100, of=100, store="S1") + persons(trained=8, of=10, store="S2")
    answer = check(tmp_path / "a.csv", PERSONS, text.encode())
    assert (answer.verdict, answer.figure) == (Verdict.FAIL, 0.8)
    assert "below 90 %: S2" in answer.evidence
    assert "Ms" not in answer.evidence + answer.remedy
    assert check(tmp_path / "a.csv", TrainingGate(by="wave"), text.encode()).verdict is Verdict.PASS
    assert check(tmp_path / "a.csv", PERSONS, text.encode(), stores=("S1",)).verdict is Verdict.PASS


@pytest.mark.parametrize(("trained", "verdict"), [(9, Verdict.PASS), (8, Verdict.FAIL), (10, Verdict.PASS)])
def test_ninety_percent_is_enough(tmp_path: Path, trained: int, verdict: Verdict) -> None:
    text = "store;trained;staff\nS1;10;10\nS2;" + f"{trained};10\n"
    assert check(tmp_path / "a.csv", COUNTS, text.encode()).verdict is verdict


def test_a_list_of_a_chinese_excel(tmp_path: Path) -> None:
    gate = TrainingGate(store="门店", trained="已培训")
    text = "门店\t已培训\nS1\t是\nS2\t已完成\n"
    for content in (text.encode("gb18030"), text.encode("utf-8-sig")):
        assert check(tmp_path / "a.csv", gate, content).verdict is Verdict.PASS


def test_excel_with_names_and_with_counts(tmp_path: Path) -> None:
    rows: list[list[Any]] = [["store", "trained"], ["S1", True], ["S1", "yes"], ["S2", 1], ["S2", "是"]]
    assert check(tmp_path / "a.xlsx", PERSONS, rows).figure == 1.0
    counts: list[list[Any]] = [["store", "staff", "trained"], [101, 10, 9], ["S2", 4, 4]]
    answer = check(tmp_path / "a.xlsx", COUNTS, counts, stores=("101", "S2"))
    assert (answer.verdict, answer.figure) == (Verdict.PASS, 0.9)
    named = TrainingGate(sheet="2026")
    assert "no sheet '2026'; it has people" in check(tmp_path / "a.xlsx", named, rows).evidence


@pytest.mark.parametrize(
    ("gate", "text", "said"),
    [
        (PERSONS, "store,trained\nS1,yes\n", "no staff of 1 stores: S2"),
        (COUNTS, "store,trained,staff\nS1,1,1\nS2,0,0\n", "no staff of 1 stores: S2"),
        (PERSONS, "store,trained\nS1,yes\nS2,perhaps\n", "neither yes nor no"),
        (PERSONS, "store,train\nS1,yes\nS2,yes\n", "did you mean 'train'?"),
        (COUNTS, "store,trained,staff\nS1,nan,1\nS2,1,1\n", "counts of store S1"),
        (COUNTS, "store,trained,staff\nS1,inf,inf\nS2,1,1\n", "counts of store S1"),
        (COUNTS, "store,trained,staff\nS1,2,1\nS2,1,1\n", "counts of store S1"),
        (COUNTS, "store,trained,staff\nS1,-1,1\nS2,1,1\n", "counts of store S1"),
        (COUNTS, "store,trained,staff\nS1,,1\nS2,1,1\n", "counts of store S1"),
        (PERSONS, "", "cannot be used"),
        (PERSONS, "store,trained\nS1,yes,more,and more\n", "cannot be read as CSV"),
    ],
)
def test_what_cannot_be_is_unknown(tmp_path: Path, gate: TrainingGate, text: str, said: str) -> None:
    """What a bug would cost: an empty list in which everybody is trained."""
    answer = check(tmp_path / "a.csv", gate, text.encode())
    assert answer.verdict is Verdict.UNKNOWN
    assert said in answer.evidence


@pytest.mark.parametrize("content", [b"PK\x03\x04 not a zip", b"text", b"", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)])
def test_a_spreadsheet_that_is_none(tmp_path: Path, content: bytes) -> None:
    answer = check(tmp_path / "a.xlsx", PERSONS, content)
    assert answer.verdict is Verdict.UNKNOWN
    assert "spreadsheet" in answer.evidence


def test_a_list_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    import io
    import zipfile

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive, archive.open("xl/a.xml", "w") as entry:
        for _ in range(520):
            entry.write(bytes(2**20))
    assert "unpacks to more" in check(tmp_path / "a.xlsx", PERSONS, packed.getvalue()).evidence


def test_old_missing_and_unnamed_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert check(path, PERSONS, b"store,trained\nS1,yes\nS2,yes\n").verdict is Verdict.PASS
    old = check_training(PERSONS, path, STORES, 5, NOW + timedelta(days=40))
    assert (old.verdict, old.figure) == (Verdict.UNKNOWN, 1.0)
    assert "40 d old" in old.evidence
    assert check_training(PERSONS, path, STORES, 5, NOW - timedelta(hours=2)).verdict is Verdict.UNKNOWN
    assert check_training(PERSONS, None, STORES, 5, NOW).verdict is Verdict.UNKNOWN
    assert check_training(PERSONS, tmp_path / "none.csv", STORES, 5, NOW).verdict is Verdict.UNKNOWN
    assert check_training(PERSONS, path, (), 5, NOW).verdict is Verdict.UNKNOWN

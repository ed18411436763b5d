"""Files of tills and partners: read in every form they come in, loaded once, corrected and imported again."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from etl.errors import UsageError
from etl.load.import_files import ImportedFile, ImportRequest, run_import
from etl.load.rejects import Reject, RejectFilter, read_rejects
from etl.progress import Silent
from etl.settings import Settings, TargetSettings
from etl.target.bulk import BulkConnection
from tests.conftest import SettingsFactory

HEADER = "卡号,姓名,性别,手机号,身份证号,生日,地址,门店,入会时间"
ROWS = (
    'C001,王小明,男,13912345678,,1990/3/7,"武汉市, 江汉路1号",S001,2024-05-06 10:20:30',
    "C002,李静,女,139 1234 5679,,19910102,,S001,2024/5/7",
    "C003,张伟,男,+86 13912345670,,1992年1月3日,,S002,45419.5",
)


@pytest.fixture
def settings(ready_target: TargetSettings, settings_for: SettingsFactory) -> Settings:
    """No stage, no source: an import needs neither."""
    return settings_for(target=ready_target)


def run(
    settings: Settings, *files: Path, kind: str = "pos-members", execute: bool = True, rejected: Path | None = None
) -> ImportedFile:
    """Import, and return what became of the first file."""
    return run_import(settings, ImportRequest(files, kind, execute, None, rejected), Silent()).files[0]


def members(connection: BulkConnection, settings: Settings) -> dict[str, tuple[object, ...]]:
    """(name, phone, birthday, registered_at) by card."""
    schema = settings.target.schema_name
    rows = connection.query(
        f"SELECT s.source_id, m.name, m.phone, m.birthday, m.registered_at FROM `{schema}`.member m "
        f"JOIN `{schema}`.member_source s ON s.member_id = m.member_id AND s.source = 'pos'"
    )
    return {str(row[0]): tuple(row[1:]) for row in rows}


def waiting(connection: BulkConnection, settings: Settings) -> tuple[Reject, ...]:
    """What is in quarantine."""
    return read_rejects(connection, settings.target.state_schema, RejectFilter())


def write(path: Path, rows: tuple[str, ...], encoding: str = "utf-8", separator: str = ",", header: str = HEADER) -> Path:
    """A text file."""
    text = "\r\n".join((header, *rows)) + "\r\n"
    path.write_bytes(text.replace(",", separator).encode(encoding) if separator != "," else text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("encoding", "separator", "form"),
    [
        ("utf-8", ",", "UTF-8, comma"),
        ("utf-8-sig", ";", "UTF-8, semicolon"),
        ("gb18030", "\t", "GB18030, tab"),
        ("utf-16", ",", "UTF-16, comma"),
        ("utf-16-le", "|", "UTF-16-LE, bar"),
    ],
)
def test_every_encoding_and_separator_gives_the_same_members(
    settings: Settings, connection: BulkConnection, tmp_path: Path, encoding: str, separator: str, form: str
) -> None:
    rows = (ROWS[1], ROWS[2])
    result = run(settings, write(tmp_path / "cards.csv", rows, encoding, separator))

    assert (result.form, result.loaded, result.rejected) == (form, 2, 0)
    assert members(connection, settings) == {
        "C002": ("李静", "+8613912345679", date(1991, 1, 2), datetime(2024, 5, 6, 16)),
        "C003": ("张伟", "+8613912345670", date(1992, 1, 3), datetime(2024, 5, 7, 4)),
    }


def test_dry_run_counts_and_changes_nothing(settings: Settings, connection: BulkConnection, tmp_path: Path) -> None:
    result = run(settings, write(tmp_path / "cards.csv", (*ROWS, "C004,无日期,,,,,,S001,soon")), execute=False)

    assert (result.records, result.loaded, result.rejected) == (4, 3, 1)
    assert members(connection, settings) == {}
    assert waiting(connection, settings) == ()
    assert result.rejected_file is not None


def test_the_same_file_twice_changes_nothing(settings: Settings, connection: BulkConnection, tmp_path: Path) -> None:
    first = run(settings, write(tmp_path / "cards.csv", ROWS))
    before = members(connection, settings)

    again = run(settings, tmp_path / "cards.csv")
    with_one_more = run(settings, write(tmp_path / "more.csv", (*ROWS, "C009,赵敏,女,,,,,S001,2024-01-01")))

    assert first.loaded == 3
    assert (again.before, again.loaded, again.unchanged, again.rejected) == (3, 0, 0, 0)
    assert (with_one_more.loaded, with_one_more.unchanged, with_one_more.rejected) == (1, 3, 0)
    assert {key: value for key, value in members(connection, settings).items() if key != "C009"} == before


def test_each_bad_row_has_its_reason_and_the_others_are_loaded(
    settings: Settings, connection: BulkConnection, tmp_path: Path
) -> None:
    bad = (
        "C011,失数,男,,4.20106E+17,,,S001,2024-05-06",
        ",无卡号,男,,,,,S001,2024-05-06",
        "C013,早,男,,,,,S001,2024-02-30",
        "C014,少列,男",
        "C015,多列,男,,,,,S001,2024-05-06,更多,更多",
        "C016,重,男,,,,,S001,2024-05-06",
        "C016,重,女,,,,,S001,2024-05-06",
        "1.30E+10,数字卡,男,,,,,S001,2024-05-06",
    )
    result = run(settings, write(tmp_path / "cards.csv", (*ROWS, *bad)))

    assert (result.records, result.loaded, result.rejected) == (11, 4, 7)
    assert set(members(connection, settings)) == {"C001", "C002", "C003", "C016"}
    found = {(line.source_key, line.column_name, line.reason) for line in waiting(connection, settings)}
    assert found == {
        ("C011", "IdCard", "excel_lost_digits"),
        ("cards.csv record 6", "CardNo", "null_not_allowed"),
        ("C013", "JoinedOn", "bad_date"),
        ("cards.csv record 8", "", "wrong_number_of_columns"),
        ("cards.csv record 9", "", "wrong_number_of_columns"),
        ("C016", "member_id", "duplicate_key"),
        ("1.30E+10", "CardNo", "excel_lost_digits"),
    }
    assert not any("4.20106" in line.masked_value for line in waiting(connection, settings))


def test_rejected_rows_come_back_are_corrected_and_imported(
    settings: Settings, connection: BulkConnection, tmp_path: Path
) -> None:
    rows = (ROWS[0], "C021,失数,男,,4.20106E+17,,,S001,2024-05-06", ",无卡号,男,,,,,S001,2024-05-06")
    result = run(settings, write(tmp_path / "cards.csv", rows), rejected=tmp_path / "fix.xlsx")
    assert (result.loaded, result.rejected) == (1, 2)
    assert result.rejected_file == tmp_path / "fix.xlsx"
    assert result.rejected_file.stat().st_mode & 0o077 == 0

    book = openpyxl.load_workbook(tmp_path / "fix.xlsx")
    sheet = book.active
    assert sheet is not None
    head = [cell.value for cell in sheet[1]]
    assert head == ["membershift: reason", *HEADER.split(","), "membershift: key"]
    assert [row[0].value for row in sheet.iter_rows(min_row=2)] == ["IdCard: excel_lost_digits", "CardNo: null_not_allowed"]
    sheet.cell(2, head.index("身份证号") + 1).value = None
    sheet.cell(3, head.index("卡号") + 1).value = "C022"
    book.save(tmp_path / "fixed.xlsx")

    corrected = run(settings, tmp_path / "fixed.xlsx")

    assert (corrected.loaded, corrected.rejected) == (2, 0)
    assert set(members(connection, settings)) == {"C001", "C021", "C022"}
    assert waiting(connection, settings) == ()


def test_spreadsheet_traps(settings: Settings, connection: BulkConnection, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "封面"  # type: ignore[union-attr]  # a new workbook has a sheet
    sheet = book.create_sheet("会员")
    sheet.append(["2024年5月新会员"])
    sheet.append(HEADER.split(","))
    sheet.append(
        [100200300, "数字卡", "男", 13912345678, None, datetime(1990, 3, 7), None, "S001", datetime(2024, 5, 6, 10, 20, 30)]
    )
    sheet.append(["C032", "文本", "女", "13912345679", "11010519491231002X", "1990-03-08", None, "S001", 45418])
    sheet.append(["C033", "失数", "女", None, 420106199003071234, None, None, "S001", 45418])
    sheet.append([None] * 9)
    book.save(tmp_path / "cards.xlsx")

    result = run(settings, tmp_path / "cards.xlsx")

    assert (result.form, result.records, result.loaded, result.rejected) == ("Excel, sheet 会员", 3, 2, 1)
    found = members(connection, settings)
    assert found["100200300"] == ("数字卡", "+8613912345678", date(1990, 3, 7), datetime(2024, 5, 6, 2, 20, 30))
    assert found["C032"][2] == date(1990, 3, 8)
    assert [(line.source_key, line.reason) for line in waiting(connection, settings)] == [("C033", "excel_lost_digits")]


def test_a_row_that_differs_is_rejected_not_overwritten(settings: Settings, connection: BulkConnection, tmp_path: Path) -> None:
    run(settings, write(tmp_path / "cards.csv", ROWS))
    result = run(settings, write(tmp_path / "changed.csv", (ROWS[0].replace("王小明", "王大明"),)))

    assert (result.loaded, result.unchanged, result.rejected) == (0, 0, 1)
    assert members(connection, settings)["C001"][0] == "王小明"
    assert {line.reason for line in waiting(connection, settings)} == {"differs_from_target"}


def test_sales_and_their_lines(settings: Settings, connection: BulkConnection, tmp_path: Path) -> None:
    run(settings, write(tmp_path / "cards.csv", ROWS))
    sales = write(
        tmp_path / "sales.csv",
        (
            'R1,S001,C001,3,2024-05-06 10:00:00,"1,234.50",34.5,CASH',
            "R2,S001,,3,2024-05-06 10:01,12,,",
            "R3,S001,,3,2024-05-06,1,5,,",
        ),
        header="小票号,门店,会员卡号,收银机号,销售时间,金额,优惠,支付方式",
    )
    result = run(settings, sales, kind="sales")
    assert (result.loaded, result.rejected) == (2, 1)

    lines = write(tmp_path / "lines.csv", ("R1,1,77,2,617.25,1234.5",), header="receipt,line,sku,qty,price,total")
    assert run(settings, lines, kind="sale-lines").loaded == 1
    schema = settings.target.schema_name
    found = connection.query(
        f"SELECT s.sale_no, s.paid, s.member_id IS NOT NULL, l.amount FROM `{schema}`.sale s "
        f"LEFT JOIN `{schema}`.sale_line l ON l.sale_no = s.sale_no ORDER BY 1"
    )
    assert [(row[0], str(row[1]), int(row[2]), str(row[3])) for row in found] == [
        ("R1", "1200.0000", 1, "1234.5000"),
        ("R2", "12.0000", 0, "None"),
    ]


def test_sales_imported_before_their_members_get_them_when_the_file_is_imported_again(
    settings: Settings, connection: BulkConnection, tmp_path: Path
) -> None:
    sales = write(
        tmp_path / "sales.csv",
        ("R1,S001,C001,3,2024-05-06 10:00:00,12,,", "R2,S001,C404,3,2024-05-06 10:01,12,,", "R3,S001,,3,2024-05-06 10:02,12,,"),
        header="小票号,门店,会员卡号,收银机号,销售时间,金额,优惠,支付方式",
    )
    schema = settings.target.schema_name

    def owned() -> dict[str, bool]:
        return {str(row[0]): row[1] is not None for row in connection.query(f"SELECT sale_no, member_id FROM `{schema}`.sale")}

    assert run(settings, sales, kind="sales").loaded == 3
    assert not any(owned().values())
    run(settings, write(tmp_path / "cards.csv", ROWS))

    assert run(settings, sales, kind="sales", execute=False).refilled == 1
    again = run(settings, sales, kind="sales")

    assert (again.loaded, again.rejected, again.refilled) == (0, 0, 1)
    assert owned() == {"R1": True, "R2": False, "R3": False}
    assert run(settings, sales, kind="sales").refilled == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b,c\n1,2,3\n", "No line at the beginning"),
        ("姓名,手机号\n王,139\n".encode(), "has no column for CardNo, JoinedOn"),
        ('卡号,姓名,入会时间\nC1,"never closed,2024-01-01\nC2,b,2024-01-01\n'.encode(), "never closed"),
        (b"\xff\xfe\x00\xd8garbage", "No line at the beginning"),
    ],
)
def test_files_of_another_kind_are_refused_whole(settings: Settings, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        run(settings, path)


def test_damaged_text_is_rejected_not_guessed(settings: Settings, connection: BulkConnection, tmp_path: Path) -> None:
    good = "\r\n".join((HEADER, *(f"D{number},王小明,男,,,,武汉市江汉路,S001,2024-05-06" for number in range(30)))).encode()
    (tmp_path / "cards.csv").write_bytes(good + b"\r\nD99," + "王".encode()[:2] + "明,男,,,,,S001,2024-05-06".encode())

    result = run(settings, tmp_path / "cards.csv")

    assert (result.form, result.loaded, result.rejected) == ("UTF-8, comma", 30, 1)
    assert [(line.source_key, line.reason) for line in waiting(connection, settings)] == [("D99", "damaged_text")]


def test_a_large_file_is_read_in_slices(
    settings: Settings, connection: BulkConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 3_000
    monkeypatch.setattr("etl.load.import_read.SLICE_ROWS", 400)
    frame = pl.DataFrame({"receipt": [f"L{number:06}" for number in range(count)]}).with_columns(
        line=pl.lit(1), sku=pl.lit(5), qty=pl.lit("1"), price=pl.lit("2.50"), total=pl.lit("2.50")
    )
    frame.write_csv(tmp_path / "lines.csv")

    result = run(settings, tmp_path / "lines.csv", kind="sale-lines")

    assert (result.records, result.loaded) == (count, count)
    assert int(connection.scalar(f"SELECT COUNT(*) FROM `{settings.target.schema_name}`.sale_line")) == count


def test_a_card_that_is_merged_brings_no_second_member(settings: Settings, connection: BulkConnection, tmp_path: Path) -> None:
    """Its person has a golden record, which a file does not change."""
    schema = settings.target.schema_name
    with connection.transaction():
        connection.execute(
            f"INSERT INTO `{schema}`.member (member_id, tier, points, balance, registered_at, origin) "
            "VALUES (77, 'GOLD', 0, 0, NOW(6), 'crm')"
        )
        connection.execute(
            f"INSERT INTO `{schema}`.member_source (source, source_id, member_id, valid_from, linked_by) "
            "VALUES ('crm', '77', 77, NOW(6), 'dedupe'), ('pos', 'C002', 77, NOW(6), 'dedupe')"
        )
    cards = write(tmp_path / "cards.csv", ROWS)

    dry, done = run(settings, cards, execute=False), run(settings, cards)

    assert (dry.loaded, dry.unchanged, dry.rejected) == (done.loaded, done.unchanged, done.rejected) == (2, 1, 0)
    assert connection.scalar(f"SELECT COUNT(*) FROM `{schema}`.member") == 3
    assert connection.scalar(f"SELECT tier FROM `{schema}`.member WHERE member_id = 77") == "GOLD"

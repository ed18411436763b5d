"""10,000 mangled rows: each is loaded or in quarantine, and the reason is what was done to it."""

from __future__ import annotations

import random
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

from etl.load.import_files import ImportRequest, run_import
from etl.load.rejects import RejectFilter, read_rejects
from etl.progress import Silent
from etl.settings import LoadSettings, TargetSettings
from etl.target.bulk import BulkConnection
from tests.conftest import SettingsFactory
from tests.integration.load.support import batch_of, part_for, writer_for
from tests.integration.load.test_batch import COLUMNS, campaigns

ROWS = 10_000
UNSEEN = 3_000


def test_what_only_the_target_refuses_stands_alone(connection: BulkConnection, ready_target: TargetSettings) -> None:
    """Rows that no transform has looked at: LOAD DATA would cut, round, skip or replace every third of them."""
    good = campaigns(UNSEEN).with_columns(budget=pl.col("budget").cast(pl.Decimal(30, 4)))
    kind = pl.Series(
        "kind", random.Random(1).choices(["good", "long", "null", "large", "late", "taken"], [70, 6, 6, 6, 6, 6], k=UNSEEN)
    )
    marked = good.with_columns(kind)
    rows = marked.with_columns(
        code=pl.when(kind == "long").then(pl.col("code") + "X" * 20).otherwise("code"),
        name=pl.when(kind == "null").then(None).otherwise("name"),
        budget=pl.when(kind == "large").then(pl.lit(Decimal(10) ** 20)).otherwise("budget"),
        starts_at=pl.when(kind == "late").then(pl.lit(datetime(9999, 12, 31)).dt.offset_by("1d")).otherwise("starts_at"),
    )
    first = {"long": ("code", "too_long"), "null": ("name", "null_not_allowed"), "large": ("budget", "out_of_range")}
    # the primary key of an earlier row, with other values
    taken = rows.filter(kind == "taken")["campaign_id"].to_list()
    rows = rows.with_columns(campaign_id=pl.when(kind == "taken").then(1).otherwise("campaign_id"))
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    writer = writer_for(connection, ready_target)

    loaded = rejected = 0
    for number, batch in enumerate(rows.drop("kind").iter_slices(1_500)):
        counts = writer.write(batch_of(part, batch, first=number * 1_500))
        loaded, rejected = loaded + counts.loaded, rejected + counts.rejected

    assert loaded + rejected == UNSEEN
    lines = read_rejects(connection, ready_target.state_schema, RejectFilter())
    found = {line.source_key: (line.column_name, line.reason) for line in lines}
    for campaign, mangled in marked.select("campaign_id", "kind").iter_rows():
        if mangled in first:
            assert found.get(str(campaign)) == first[mangled], (campaign, mangled)
        elif mangled == "late":
            assert found[str(campaign)][1] == "bad_date", found[str(campaign)]
        elif mangled == "good" and campaign != 1:
            assert str(campaign) not in found
    assert found["1"][1] in ("duplicate_key", "differs_from_target")
    there = {int(row[0]) for row in connection.query(f"SELECT campaign_id FROM `{ready_target.schema_name}`.campaign")}
    assert there == {1, *marked.filter(kind == "good")["campaign_id"]}
    assert len(taken) > 100
    damaged = connection.scalar(
        f"SELECT COUNT(*) FROM `{ready_target.schema_name}`.campaign WHERE name <> CONCAT('春季 ', campaign_id)"
    )
    assert int(damaged) <= 1  # of campaign 1 whichever came first


MANGLES = {
    "good": None,
    "scientific id card": ("IdCard", "excel_lost_digits"),
    "scientific phone": ("Phone", "excel_lost_digits"),
    "no such day": ("JoinedOn", "bad_date"),
    "day first": ("JoinedOn", "bad_date"),
    "no time": ("JoinedOn", "null_not_allowed"),
    "no card": ("CardNo", "null_not_allowed"),
    "too few": ("", "wrong_number_of_columns"),
    "too many": ("", "wrong_number_of_columns"),
    "broken bytes": ("Address", "damaged_text"),
    "long name": ("name", "too_long"),
    "long store": ("store_code", "too_long"),
}


def mangled_line(number: int, kind: str) -> bytes:
    """A line of a card list with one thing wrong."""
    cells = [f"M{number:05}", "王小明", "男", f"139{number:08}", "", "1990-01-02", "江汉路", "S001", "2024-05-06 07:08:09"]
    match kind:
        case "scientific id card":
            cells[4] = "4.20106E+17"
        case "scientific phone":
            cells[3] = "1.39E+10"
        case "no such day":
            cells[8] = "2023-02-29"
        case "day first":
            cells[8] = "06/05/2024"
        case "no time":
            cells[8] = " "
        case "no card":
            cells[0] = ""
        case "too few":
            cells = cells[:6]
        case "too many":
            cells.append("!")
        case "long name":
            cells[1] = "王" * 41
        case "long store":
            cells[7] = "S00123456"
        case "broken bytes":
            return ",".join(cells).encode().replace("江".encode(), "江".encode()[:2])
    return ",".join(cells).encode()


def test_mangled_lines_of_a_file(
    connection: BulkConnection, ready_target: TargetSettings, settings_for: SettingsFactory, tmp_path: Path
) -> None:
    chance = random.Random(2)
    kinds = [chance.choices(list(MANGLES), [20, *([1] * (len(MANGLES) - 1))])[0] for _ in range(ROWS)]
    header = "卡号,姓名,性别,手机号,身份证号,生日,地址,门店,入会时间".encode()
    lines = [header, *(mangled_line(number, kind) for number, kind in enumerate(kinds))]
    (tmp_path / "cards.csv").write_bytes(b"\n".join(lines))
    settings = settings_for(target=ready_target, load=LoadSettings(batch_rows=1_500))

    result = run_import(settings, ImportRequest((tmp_path / "cards.csv",), "pos-members", execute=True), Silent()).files[0]

    good = {f"M{number:05}" for number, kind in enumerate(kinds) if kind == "good"}
    assert (result.records, result.loaded, result.rejected) == (ROWS, len(good), ROWS - len(good))
    there = connection.query(f"SELECT source_id FROM `{ready_target.schema_name}`.member_source")
    assert {str(row[0]) for row in there} == good
    lines_found = read_rejects(connection, ready_target.state_schema, RejectFilter())
    found: dict[str, set[tuple[str, str]]] = {}
    for line in lines_found:
        found.setdefault(line.source_key, set()).add((line.column_name, line.reason))
    for number, kind in enumerate(kinds):
        if kind != "good":
            without_key = kind in ("no card", "too few", "too many")
            key = f"cards.csv record {number + 2}" if without_key else f"M{number:05}"
            assert MANGLES[kind] in found.pop(key), (key, kind)  # a name that is too long gives a name key that is too long
    assert found == {}
    assert result.rejected_file is not None

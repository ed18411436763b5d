"""Sales loaded while their member was in quarantine: 50,000 of them would have belonged to nobody for ever."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from etl.load.import_files import ImportRequest, run_import
from etl.load.model import LoadRequest
from etl.load.retry_rejects import RetriedPart, RetryResult, retry_rejects
from etl.load.run import run_load
from etl.progress import Silent
from etl.settings import LoadSettings, MappingSettings, Settings, TargetSettings
from etl.target.bulk import BulkConnection
from reports.documents.load import retry_document
from tests.conftest import SettingsFactory
from tests.integration.load.stage_data import KEYS, generated_tables, stage_table

PARTS = ("store", "member/crm", "member/pos", "sale/pos")
TABLES = ("pos.dbo.Store", "crm.dbo.Member", "pos.dbo.PosMember", "pos.dbo.Sale")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """300 members, their cards and sales."""
    return generated_tables(tmp_path_factory.mktemp("generated"), 300)


@pytest.fixture
def settings(
    ready_target: TargetSettings, settings_for: SettingsFactory, tables: dict[str, pl.DataFrame], tmp_path: Path
) -> Settings:
    """Every fifth card has a store code that does not fit, so its member is refused and its sales are loaded without one."""
    shutil.copytree(str(resources.files("etl.mapping").joinpath("retailer")), tmp_path / "mapping")
    settings = settings_for(
        target=ready_target, load=LoadSettings(batch_rows=150), mapping=MappingSettings(path=str(tmp_path / "mapping"))
    )
    for name in TABLES:
        frame = tables[name]
        if name == "pos.dbo.PosMember":
            wrong = pl.int_range(pl.len()) % 5 == 0
            frame = frame.with_columns(StoreCode=pl.when(wrong).then(pl.lit("MUCH-TOO-LONG")).otherwise("StoreCode"))
        stage_table(settings, name, frame, KEYS[name], 300)
    run_load(settings, LoadRequest(PARTS, execute=True), Silent())
    return settings


def correct_mapping(settings: Settings) -> None:
    """From now on a store code that does not fit is loaded as NULL."""
    path = Path(settings.mapping.path) / "member.toml"
    text = path.read_text("utf-8")
    wrong = 'store_code = { from = "StoreCode", as = "code" }'
    path.write_text(text.replace(wrong, 'store_code = { from = "StoreCode", as = "code", on_bad = "null" }'), "utf-8")


def lost_sales(connection: BulkConnection, settings: Settings, tables: dict[str, pl.DataFrame]) -> int:
    """Sales on the target without member, although their card is in the crosswalk: asked of the tables themselves."""
    schema = settings.target.schema_name
    cards = {str(row[0]) for row in connection.query(f"SELECT source_id FROM `{schema}`.member_source WHERE source = 'pos'")}
    empty = {str(row[0]) for row in connection.query(f"SELECT sale_no FROM `{schema}`.sale WHERE member_id IS NULL")}
    sales = tables["pos.dbo.Sale"].filter(pl.col("SaleNo").is_in(list(empty)))
    return sum(card is not None and card.strip().upper() in cards for card in sales["CardNo"])


def wrong_sales(connection: BulkConnection, settings: Settings, tables: dict[str, pl.DataFrame]) -> int:
    """Sales whose member is not the one that their card stands for."""
    schema = settings.target.schema_name
    members = {
        str(row[0]): row[1]
        for row in connection.query(f"SELECT source_id, member_id FROM `{schema}`.member_source WHERE source = 'pos'")
    }
    cards = dict(tables["pos.dbo.Sale"].select("SaleNo", "CardNo").iter_rows())
    rows = connection.query(f"SELECT sale_no, member_id FROM `{schema}`.sale WHERE member_id IS NOT NULL")
    return sum(members.get(cards[str(sale)].strip().upper()) != member for sale, member in rows)


def part_of(result: RetryResult, name: str) -> RetriedPart:
    """One part of a result."""
    return next(part for part in result.parts if part.part == name)


def test_sales_get_the_member_that_was_in_quarantine(
    settings: Settings, connection: BulkConnection, tables: dict[str, pl.DataFrame]
) -> None:
    assert lost_sales(connection, settings, tables) == 0  # their cards are not in the crosswalk yet
    before = connection.scalar(f"SELECT COUNT(*) FROM `{settings.target.schema_name}`.sale WHERE member_id IS NULL")
    correct_mapping(settings)

    dry = retry_rejects(settings, PARTS, Silent(), execute=False)
    result = retry_rejects(settings, PARTS, Silent(), execute=True)

    sale = part_of(result, "sale/pos").refilled
    assert sale.filled > 20
    assert part_of(dry, "sale/pos").refilled == sale
    after = connection.scalar(f"SELECT COUNT(*) FROM `{settings.target.schema_name}`.sale WHERE member_id IS NULL")
    assert before - after == sale.filled
    assert lost_sales(connection, settings, tables) == 0
    assert wrong_sales(connection, settings, tables) == 0
    told = retry_document(result, "en")
    assert next(figure.value for figure in told.figures if "member" in figure.label) == sale.filled

    again = retry_rejects(settings, PARTS, Silent(), execute=True)
    assert again.filled == 0
    assert part_of(again, "sale/pos").refilled.noted == sale.noted - sale.filled


def test_a_retry_of_the_members_alone_names_the_rows_that_can_follow_and_the_command(
    settings: Settings, connection: BulkConnection, tables: dict[str, pl.DataFrame]
) -> None:
    correct_mapping(settings)

    result = retry_rejects(settings, ("member/crm", "member/pos"), Silent(), execute=True)

    lost = lost_sales(connection, settings, tables)
    assert lost > 20
    assert [(part.part, part.refilled.filled) for part in result.left_out] == [("sale/pos", lost)]
    steps = retry_document(result, "en").next_steps
    assert f"{lost:,} rows of sale/pos can follow their members" in steps[0]
    assert "`membershift load rejects retry --table sale/pos --execute`" in steps[0]

    assert retry_rejects(settings, ("sale/pos",), Silent(), execute=True).filled == lost
    assert lost_sales(connection, settings, tables) == 0


def test_rows_that_left_the_stage_are_told_with_the_command_that_mends_them(
    settings: Settings, tables: dict[str, pl.DataFrame]
) -> None:
    correct_mapping(settings)
    stage_table(settings, "pos.dbo.Sale", tables["pos.dbo.Sale"].head(10), KEYS["pos.dbo.Sale"])

    result = retry_rejects(settings, PARTS, Silent(), execute=True)

    sale = part_of(result, "sale/pos")
    assert sale.unstaged == sale.refilled.noted - sale.refilled.staged > 20
    steps = " ".join(retry_document(result, "en").next_steps)
    assert f"{sale.unstaged:,} rows of sale/pos are not in the stage any more" in steps
    assert "membershift reconcile repair --table sale --execute" in steps


def test_a_member_set_on_the_target_meanwhile_is_left_alone(
    settings: Settings, connection: BulkConnection, tables: dict[str, pl.DataFrame]
) -> None:
    schema = settings.target.schema_name
    member = connection.scalar(f"SELECT MIN(member_id) FROM `{schema}`.member")
    empty = connection.scalar(f"SELECT MIN(sale_no) FROM `{schema}`.sale WHERE member_id IS NULL")
    connection.execute(f"UPDATE `{schema}`.sale SET member_id = %s WHERE sale_no = %s", (member, empty))
    correct_mapping(settings)

    retry_rejects(settings, PARTS, Silent(), execute=True)

    assert connection.scalar(f"SELECT member_id FROM `{schema}`.sale WHERE sale_no = %s", (empty,)) == member


def test_a_retry_names_the_files_whose_rows_may_have_a_member_now(
    settings: Settings, connection: BulkConnection, tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    card = tables["pos.dbo.PosMember"]["CardNo"][0]  # refused, as every fifth is
    file = tmp_path / "till.csv"
    file.write_text(
        f"小票号,门店,会员卡号,收银机号,销售时间,金额,优惠,支付方式\nX1,S0001,{card},3,2017-05-06 10:00,12,,\n", "utf-8"
    )
    request = ImportRequest((file,), "sales", execute=True)
    assert run_import(settings, request, Silent()).files[0].noted == 1
    correct_mapping(settings)

    result = retry_rejects(settings, PARTS, Silent(), execute=True)

    assert result.files == (("till.csv", 1),)
    assert any("1 rows of till.csv were imported without a member" in step for step in retry_document(result, "en").next_steps)
    assert run_import(settings, request, Silent()).files[0].refilled == 1
    owner = connection.scalar(f"SELECT member_id FROM `{settings.target.schema_name}`.sale WHERE sale_no = 'X1'")
    assert owner is not None

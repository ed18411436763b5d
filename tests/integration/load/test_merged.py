"""Members that deduplication joined with others: load settles their records and gives them no member of their own."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import polars as pl
import pytest

from etl.load.key_index import build_index
from etl.load.merged import leave_merged
from etl.load.model import LoadRequest, LoadResult
from etl.load.retry_rejects import retry_rejects
from etl.load.run import run_load
from etl.mapping.outcome import FINDING_SCHEMA, LINK_SCHEMA, TransformOutcome
from etl.progress import Silent
from etl.settings import LoadSettings, MappingSettings, Settings, TargetSettings
from etl.target.bulk import BulkConnection
from reports.documents.load import load_document
from tests.conftest import SettingsFactory
from tests.integration.load.stage_data import KEYS, generated_tables, stage_table

PARTS = ("member/crm", "member/pos", "points_ledger/crm")
FAR = 2**32 + 500
"""An allocated id, as a survivor that was on the target before may have."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """300 members, and what the parts need."""
    generated = generated_tables(tmp_path_factory.mktemp("generated"), 300)
    return {name: generated[name] for name in ("crm.dbo.Member", "pos.dbo.PosMember", "crm.dbo.PointsLedger")}


@pytest.fixture
def settings(
    ready_target: TargetSettings, settings_for: SettingsFactory, tables: dict[str, pl.DataFrame], tmp_path: Path
) -> Settings:
    """A full stage, and a mapping of its own that a test may change."""
    shutil.copytree(str(resources.files("etl.mapping").joinpath("retailer")), tmp_path / "mapping")
    settings = settings_for(
        target=ready_target, load=LoadSettings(batch_rows=120), mapping=MappingSettings(path=str(tmp_path / "mapping"))
    )
    for name, frame in tables.items():
        stage_table(settings, name, frame, KEYS[name], 200)
    return settings


def merge(connection: BulkConnection, settings: Settings, survivor: int, *records: tuple[str, str]) -> None:
    """What a run of deduplication leaves: a golden record and an entry for each legacy record."""
    schema = settings.target.schema_name
    with connection.transaction():
        connection.execute(
            f"INSERT INTO `{schema}`.member (member_id, name, tier, points, balance, registered_at, origin) "
            "VALUES (%s, 'golden', 'GOLD', 1, 0, NOW(6), 'crm')",
            (survivor,),
        )
        for system, source_id in records:
            connection.execute(
                f"INSERT INTO `{schema}`.member_source (source, source_id, member_id, valid_from, linked_by) "
                "VALUES (%s, %s, %s, NOW(6), 'dedupe')",
                (system, source_id, survivor),
            )


def load(settings: Settings, **options: object) -> LoadResult:
    """Load the members and their points."""
    request = LoadRequest(**{"tables": PARTS, "execute": True, **options})  # type: ignore[arg-type]  # options of the test's choice
    return run_load(settings, request, Silent())


def first_loaded(tables: dict[str, pl.DataFrame], members: list[int]) -> tuple[int, str]:
    """A member of crm with points, and a card of pos that the mapping takes."""
    busy = tables["crm.dbo.PointsLedger"].filter(pl.col("MemberId").is_in(members))["MemberId"].value_counts(sort=True)
    return int(busy["MemberId"][0]), str(tables["pos.dbo.PosMember"]["CardNo"][3]).strip().upper()


def test_merged_records_are_settled_without_a_member(
    settings: Settings, connection: BulkConnection, tables: dict[str, pl.DataFrame]
) -> None:
    schema = settings.target.schema_name
    members = tables["crm.dbo.Member"]["MemberId"].sort().to_list()
    retired, card = first_loaded(tables, members[10:])
    merge(connection, settings, members[2], ("crm", str(members[2])), ("crm", str(retired)), ("pos", card))
    dry = load(settings, execute=False)
    assert dry.merged == 3

    result = load(settings, canary=0.3)

    assert result.complete
    assert {part.part: part.merged for part in result.tables} == {"member/crm": 2, "member/pos": 1, "points_ledger/crm": 0}
    assert result.canary is not None
    assert result.canary.passed
    assert connection.scalar(f"SELECT name FROM `{schema}`.member WHERE member_id = %s", (members[2],)) == "golden"
    assert not connection.query(f"SELECT 1 FROM `{schema}`.member WHERE member_id = %s", (retired,))
    linked = connection.query(f"SELECT linked_by, COUNT(*) FROM `{schema}`.member_source GROUP BY linked_by")
    rejected = sum(part.rejected for part in result.tables if part.target == "member")
    rows = tables["crm.dbo.Member"].height + tables["pos.dbo.PosMember"].height
    assert {str(row[0]): int(row[1]) for row in linked} == {"dedupe": 3, "load": rows - rejected - 3}
    assert connection.scalar(f"SELECT COUNT(*) FROM `{schema}`.member") == rows - rejected - 2
    points = tables["crm.dbo.PointsLedger"].filter(pl.col("MemberId").is_in([members[2], retired])).height
    assert connection.scalar(f"SELECT COUNT(*) FROM `{schema}`.points_ledger WHERE member_id = %s", (members[2],)) == points

    again = load(settings)

    assert (again.complete, again.rows, again.merged) == (True, 0, 0)


def test_ids_of_others_are_what_they_would_be_and_collide_with_none(settings: Settings, connection: BulkConnection) -> None:
    """A survivor with an allocated id keeps none of the numbers that kept ids must stay below."""
    schema, state = settings.target.schema_name, settings.target.state_schema
    merge(connection, settings, FAR, ("crm", "1"), ("crm", "2"))
    with connection.transaction():
        connection.execute(f"INSERT INTO `{state}`.id_allocator (name, next_id) VALUES ('member', %s)", (FAR + 1,))

    assert load(settings).complete

    ids = [int(row[0]) for row in connection.query(f"SELECT member_id FROM `{schema}`.member_source WHERE source = 'pos'")]
    assert len(set(ids)) == len(ids)
    assert min(ids) > FAR


def test_a_table_staged_anew_after_a_merge_adds_no_member(
    settings: Settings, connection: BulkConnection, tables: dict[str, pl.DataFrame]
) -> None:
    """Loaded, then merged: the member that ended stays as a redirect, and is not loaded again."""
    schema = settings.target.schema_name
    load(settings)
    before = connection.scalar(f"SELECT COUNT(*) FROM `{schema}`.member")
    with connection.transaction():
        connection.execute(
            f"UPDATE `{schema}`.member_source SET member_id = 1, linked_by = 'dedupe' WHERE source_id IN ('1', '2')"
        )
        connection.execute(f"UPDATE `{schema}`.member SET merged_into = 1, points = 0 WHERE member_id = 2")
    stage_table(settings, "crm.dbo.Member", tables["crm.dbo.Member"], KEYS["crm.dbo.Member"], 77)

    result = load(settings)

    (crm,) = (part for part in result.tables if part.part == "member/crm")
    assert (crm.loaded, crm.merged) == (0, 2)
    assert connection.scalar(f"SELECT COUNT(*) FROM `{schema}`.member") == before


def test_a_retry_adds_no_second_member_for_a_person_who_is_there(
    settings: Settings, connection: BulkConnection, tables: dict[str, pl.DataFrame]
) -> None:
    """A record that the mapping refused counts as none. Corrected and merged, it is settled; merged with nobody, it is loaded."""
    schema, state = settings.target.schema_name, settings.target.state_schema
    row = pl.int_range(pl.len())
    spoiled = tables["crm.dbo.Member"].with_columns(
        StoreCode=pl.when(row.is_in([5, 6])).then(pl.lit("MUCH-TOO-LONG")).otherwise("StoreCode")
    )
    stage_table(settings, "crm.dbo.Member", spoiled, KEYS["crm.dbo.Member"], 200)
    one, other = (str(member) for member in spoiled["MemberId"][5:7])
    load(settings)
    stuck = connection.query(f"SELECT source_key FROM `{state}`.reject WHERE mapping_part = 'member/crm' AND settled_at IS NULL")
    assert {one, other} <= {str(key[0]) for key in stuck}
    path = Path(settings.mapping.path) / "member.toml"
    told = path.read_text("utf-8").replace('"StoreCode", as = "code" }', '"StoreCode", as = "code", on_bad = "null" }')
    path.write_text(told, "utf-8")
    merge(connection, settings, FAR, ("crm", one))

    (dry,) = (part for part in retry_rejects(settings, PARTS, Silent(), execute=False).parts if part.part == "member/crm")
    (done,) = (part for part in retry_rejects(settings, PARTS, Silent(), execute=True).parts if part.part == "member/crm")

    assert (dry.merged, done.merged) == (1, 1)
    assert dry.loaded == done.loaded >= 1
    where = f"FROM `{schema}`.member WHERE member_id = %s"
    assert [connection.scalar(f"SELECT COUNT(*) {where}", (member,)) for member in (int(one), int(other))] == [0, 1]
    open_keys = connection.query(f"SELECT source_key FROM `{state}`.reject WHERE settled_at IS NULL")
    assert not {one, other} & {str(key[0]) for key in open_keys}


def test_merged_rows_have_a_column_in_both_languages(settings: Settings, connection: BulkConnection) -> None:
    merge(connection, settings, 1, ("crm", "1"), ("crm", "2"))
    result = load(settings, tables=("member/crm",))

    for lang, head in (("en", "Merged"), ("zh", "已合并")):
        (table, *_) = load_document(result, lang).tables
        assert table.rows[0][table.columns.index(head)] == 2


def test_kept_speaks_of_all_rows_given(tmp_path: Path) -> None:
    """Of four rows the mapping refused the second and the registry merged the third."""
    links = pl.DataFrame({"source_id": ["a", "c", "d"], "member_id": [1, 3, 4]}).with_columns(
        valid_from=pl.lit(None, pl.Datetime("us"))
    )
    nothing = pl.DataFrame(schema=FINDING_SCHEMA)
    outcome = TransformOutcome(
        pl.DataFrame({"member_id": [1, 3, 4]}), nothing, nothing, pl.Series([True, False, True, True]), links.cast(LINK_SCHEMA)
    )
    left = leave_merged(outcome, build_index(tmp_path / "index", 1, [(pl.Series(["c"]), pl.Series([9], dtype=pl.Int64))]))
    assert left.kept is not None
    assert left.kept.to_list() == [True, False, False, True]
    assert (left.rows["member_id"].to_list(), left.merged) == ([1, 4], 1)

"""A draft loads back, compiles against the tables it proposes, and moves rows of every type."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from etl.assess.draft_mapping import draft_mapping, name_targets, parents_first, snake, write_draft
from etl.assess.relations import find_relations
from etl.errors import ConfigurationError
from etl.mapping.compile import compile_part
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping
from etl.names import SourceTable
from etl.settings import MappingSettings
from etl.source.catalog import Table
from etl.source.extract import canonical_schema
from etl.target.columns import TargetColumn
from migrations.schema.model import ColumnModel
from migrations.schema.planned import planned_column
from tests.unit.assess.tables import LEDGER, MEMBER, NOTE, STORE, by_name, column, table

WIDE = table(
    "erp.hr.客户 Data",
    column("CustomerID", "bigint", 8),
    column("手机号", "varchar", 11, nullable=True),
    column("RealName", "nvarchar", 40, nullable=True),
    column("身份证", "char", 15, nullable=True),
    column("EMail", "varchar", 60, nullable=True),
    column("Birthday", "date", 3, nullable=True),
    column("Address", "nvarchar", -1, nullable=True),
    column("Remark", "ntext", 16, nullable=True),
    column("Active", "bit", 1),
    column("Level", "tinyint", 1),
    column("Credit", "money", 8),
    column("Rate", "decimal", 9, precision=12, scale=6),
    column("Score", "float", 8, nullable=True),
    column("Seen", "datetimeoffset", 10, scale=7, nullable=True),
    column("Changed", "datetime2", 8, scale=7),
    column("Opens", "time", 5, scale=0, nullable=True),
    column("Guid", "uniqueidentifier", 16),
    column("Photo", "varbinary", -1, nullable=True),
    column("Xml", "xml", -1, nullable=True),
    column("Anything", "sql_variant", 8016, nullable=True),
    column("Stamp", "timestamp", 8, is_rowversion=True),
    column("Total", "money", 8, is_computed=True),
    key=("CustomerID",),
)  # fmt: skip
RETAILER = by_name(MEMBER, STORE, LEDGER, NOTE, WIDE)


@pytest.fixture
def loaded(tmp_path: Path) -> Mapping:
    write_draft(draft_mapping(RETAILER, "draft"), tmp_path / "draft")
    return load_mapping(MappingSettings(path=str(tmp_path / "draft")))


def drafted_columns(sql: str, target: str) -> list[TargetColumn]:
    """The columns of one CREATE TABLE of tables.sql, as a live target would describe them."""
    body = re.search(rf"CREATE TABLE `{target}` \((.*?)\n\) DEFAULT", sql, re.DOTALL)
    assert body is not None
    columns = re.findall(r"^  `(.+?)` (\S+(?: UNSIGNED)?)(?: (NOT NULL))?,?$", body[1], re.MULTILINE)
    return [planned_column(ColumnModel(name, kind.lower().replace("(1)", ""), not required)) for name, kind, required in columns]


def test_parents_stand_before_children(loaded: Mapping) -> None:
    assert [one.target for one in loaded.tables] == ["客户_data", "store", "member", "points_ledger"]


def test_every_part_compiles_against_the_tables_of_the_draft(loaded: Mapping, tmp_path: Path) -> None:
    sql = (tmp_path / "draft" / "tables.sql").read_text("utf-8")
    for part in loaded.parts:
        compile_part(part, canonical_schema(RETAILER[part.source]), drafted_columns(sql, part.target))


def test_personal_columns_are_marked_by_their_names(loaded: Mapping) -> None:
    kinds = {column.sources[0]: column.personal for column in loaded.part("客户_data/erp").columns}
    assert {name: kind for name, kind in kinds.items() if kind} == {
        "手机号": "phone", "RealName": "name", "身份证": "id_card", "EMail": "email",
        "Birthday": "birthday", "Address": "address",
    }  # fmt: skip


def test_a_row_of_every_type_goes_through(loaded: Mapping, tmp_path: Path) -> None:
    part = loaded.part("客户_data/erp")
    schema = canonical_schema(WIDE)
    row = {
        "CustomerID": 7, "手机号": "13912345678", "RealName": "王小明", "身份证": None, "EMail": "a@example.com",
        "Birthday": date(1990, 1, 2), "Address": "北京", "Remark": "x", "Active": True, "Level": 3, "Credit": Decimal("1.2345"),
        "Rate": Decimal("0.123456"), "Score": 1.5, "Seen": datetime(2020, 1, 1), "Seen__offset": 480,
        "Changed": datetime(2020, 1, 1, 8), "Guid": "0f8fad5b-d9cb-469f-a165-70867728950e", "Photo": b"\x00\x01", "Xml": "<a/>",
    }  # fmt: skip
    arrow = pl.DataFrame(pl.from_arrow(schema.empty_table()))
    frame = pl.DataFrame([row]).select(
        pl.col(name).cast(kind) if name in row else pl.lit(None, dtype=kind).alias(name) for name, kind in arrow.schema.items()
    )
    columns = drafted_columns((tmp_path / "draft" / "tables.sql").read_text("utf-8"), part.target)
    outcome = compile_part(part, schema, columns).apply(frame, {})
    assert outcome.rejects.rows() == []
    loaded_row = outcome.rows.row(0, named=True)
    assert (loaded_row["手机号"], loaded_row["seen_offset"], loaded_row["changed"]) == (
        "+8613912345678",
        480,
        datetime(2020, 1, 1),
    )


def test_what_cannot_be_moved_is_said(tmp_path: Path) -> None:
    draft = draft_mapping(RETAILER, "draft")
    texts = {file.name: file.text for file in draft.files}
    assert draft.keyless == (NOTE.name,)
    assert "load --as-is" in texts["mapping.toml"]
    assert "# left out: Anything, sql_variant" in texts["客户_data.toml"]
    assert "# left out: Total, computed" in texts["客户_data.toml"]


def test_a_draft_never_writes_over_files(tmp_path: Path) -> None:
    (tmp_path / "member.toml").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        write_draft(draft_mapping(RETAILER, "draft"), tmp_path)
    assert (tmp_path / "member.toml").read_text() == "mine"


def test_tables_of_one_name_get_their_database_before_it() -> None:
    names = [SourceTable("crm", "dbo", "Member"), SourceTable("pos", "dbo", "Member"), SourceTable("crm", "old", "Member")]
    assert list(name_targets(names).values()) == ["crm_dbo_member", "pos_member", "crm_old_member"]


def test_tables_that_point_at_each_other_still_have_an_order() -> None:
    a = table("d.dbo.A", column("AId"), column("BId"), key=("AId",))
    b = table("d.dbo.B", column("BId"), column("AId"), key=("BId",))
    tables: dict[SourceTable, Table] = by_name(a, b)
    assert parents_first(list(tables), find_relations(tables)) == [a.name, b.name]


@pytest.mark.parametrize(
    ("name", "expected"), [("LineNo", "line_no"), ("utm__Source", "utm__source"), ("ID", "id"), ("--", "unnamed")]
)
def test_names(name: str, expected: str) -> None:
    assert snake(name) == expected

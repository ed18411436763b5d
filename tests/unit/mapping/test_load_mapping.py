"""A mistake in a mapping is told with its file, its line and the nearest valid name, and stops everything."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from etl.errors import ConfigurationError, ExitCode
from etl.mapping.compile import compile_part
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import ColumnMapping, Mapping
from etl.settings import MappingSettings
from tests.unit.mapping.schemas import retailer, source_schema, target_column, target_columns


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the retailer's mapping, to make mistakes in."""
    copy = tmp_path / "mine"
    shutil.copytree(retailer().folder, copy)
    return copy


def load(folder: Path) -> Mapping:
    return load_mapping(MappingSettings(path=str(folder)))


def edit(folder: Path, file: str, old: str, new: str) -> int:
    """Replace `old` by `new` once, and say on which line."""
    path = folder / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("file", "old", "new", "message", "remedy"),
    [
        ("member.toml", 'as = "phone"', 'as = "phonee"', "unknown transform 'phonee'", "'phone'"),
        ("member.toml", 'on_bad = "null"', 'onbad = "null"', "unknown key 'onbad'", "'on_bad'"),
        ("member.toml", 'personal = "union_id"', 'personal = "unionid"', "unknown value of personal 'unionid'", "'union_id'"),
        ("member.toml", 'member = "pos", from', 'member = "poss", from', "unknown member system 'poss'", "'pos'"),
        ("member.toml", 'member_id = { from = "MemberId", as = "integer" }', "", "does not map member_id", "Add a line"),
        ("member.toml", 'members = "crm"', 'members = "pos"', "pos members are in pos.dbo.PosMember", "Correct"),
        (
            "member.toml",
            'source = "crm.dbo.Member"',
            'source = "Member"',
            "'Member' is not a table name",
            "database.schema.table",
        ),
        ("member.toml", 'as = "points" }', 'as = "points", required = 1 }', "required must be true or false", "without quotes"),
        ("member.toml", 'origin = { value = "crm" }', 'origin = { value = "crm", as = "text" }', "unknown key 'as'", "value"),
        ("member.toml", 'birthday = { from = "Birthday"', 'birthday = { from = ["Birthday", "Phone"]', "takes 1 source", "from"),
        (
            "member.toml",
            'registered_at = { from = "CreatedAt", as = "local_time" }',
            "",
            "'registered_at' in `since`",
            "member_id",
        ),
        ("points_ledger.toml", "multiline = true", 'multiline = "yes"', "multiline must be a yes or no", "multiline"),
        ("sale.toml", 'as = "prefix", with = "E"', 'as = "prefix"', "with is missing", "with"),
        ("sale.toml", 'key = "sale_no"', "key = []", "key must be a list of texts", "key"),
        ("sale.toml", 'name = "ecom"', 'name = "pos"', "two parts are called sale/pos", "differently"),
        (
            "campaign.toml",
            'as = "local_time" }',
            'as = "local_time", zone = "Asia/Peking" }',
            "unknown time zone",
            "Asia/Shanghai",
        ),
        ("campaign.toml", 'as = "local_time" }', 'as = "local_time", ambiguous = "early" }', "ambiguous 'early'", "'earliest'"),
        ("mapping.toml", '"coupon",', "", "does not list coupon", "List every file"),
        ("mapping.toml", '"9999-12-31"', '"31.12.9999"', "is no date", "1900-01-01"),
        ("mapping.toml", 'ids = "keep"', 'ids = "kept"', "unknown value of ids 'kept'", "'keep'"),
        ("mapping.toml", 'as = "guid"', 'as = "gid"', "unknown value of as 'gid'", "'guid'"),
    ],
)
def test_a_mistake_is_told_with_its_line(folder: Path, file: str, old: str, new: str, message: str, remedy: str) -> None:
    line = edit(folder, file, old, new)
    with pytest.raises(ConfigurationError) as caught:
        load(folder)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    told = re.search(r"/(\w+\.toml), line (\d+):", caught.value.message)
    assert told is not None, caught.value.message
    if new and "two parts" not in message:
        assert (told[1], int(told[2])) == (file, line)


def test_a_table_without_a_file_is_told(folder: Path) -> None:
    edit(folder, "mapping.toml", '"points_ledger"', '"points_leger"')
    with pytest.raises(ConfigurationError, match=r"mapping\.toml, line 5: unknown mapping file 'points_leger\.toml'") as caught:
        load(folder)
    assert "points_ledger" in caught.value.remedy


def test_members_must_be_mapped_before_what_refers_to_them(folder: Path) -> None:
    edit(folder, "mapping.toml", '    "member",\n', "")
    edit(folder, "mapping.toml", '"sale", "sale_line",', '"sale", "sale_line", "member",')
    with pytest.raises(ConfigurationError, match="needs crm members, which no part before it defines"):
        load(folder)


def test_not_toml_and_not_there(folder: Path, tmp_path: Path) -> None:
    edit(folder, "sale.toml", "target =", "target")
    with pytest.raises(ConfigurationError, match=r"sale\.toml is not valid TOML: .*line 2"):
        load(folder)
    with pytest.raises(ConfigurationError, match="there is no folder") as caught:
        load(tmp_path / "nowhere")
    assert "retailer" in caught.value.remedy


def test_a_relative_folder_starts_at_the_configuration_file(folder: Path) -> None:
    assert load_mapping(MappingSettings(path="mine"), folder.parent).folder == folder


def test_the_fingerprint_changes_with_any_file_and_with_the_zone(folder: Path) -> None:
    before = load(folder).fingerprint
    assert before == load(folder).fingerprint
    assert load_mapping(MappingSettings(path=str(folder), time_zone="UTC")).fingerprint != before
    edit(folder, "store.toml", '"City"', '"Town"')
    assert load(folder).fingerprint != before


def test_lines_keep_the_mapping_readable_by_programs() -> None:
    phone = retailer().part("member/crm").column("phone")
    assert (phone.sources, phone.transform, phone.personal, phone.on_bad) == (("Phone",), "phone", "phone", "null")
    assert retailer().part("sign_in/crm").column("signed_at").args["zone"] == "Asia/Shanghai"
    assert [str(table) for table in retailer().source_tables()].count("crm.dbo.Member") == 1


def change(column: str, **values: object) -> tuple[str, ColumnMapping]:
    return column, replace(retailer().part("member/crm").column(column), **values)  # type: ignore[arg-type]  # fields by name


@pytest.mark.parametrize(
    ("column", "mapping", "message", "remedy"),
    [
        (*change("phone", sources=("Phonee",)), "unknown source column 'Phonee'", "'Phone'"),
        (*change("phone", target="phne"), "unknown target column 'phne'", "'phone'"),
        (*change("phone", sources=("Balance",)), "'phone' does not read Balance, which is decimal", "money"),
        (*change("birthday", transform="local_time", args=retailer().part("member/crm").column("registered_at").args),
         "birthday (date): it takes a date", "as"),
        (*change("points", transform="money", sources=("Balance",), args={"scale": 4}),
         "points (bigint): it takes whole numbers", "as"),
        (*change("tier", default="BRONZEST!"), "'BRONZEST!' does not fit varchar(8)", "value"),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_refused_before_any_row(column: str, mapping: ColumnMapping, message: str, remedy: str) -> None:
    part = retailer().part("member/crm")
    changed = replace(part, columns=tuple(mapping if other.target == column else other for other in part.columns))
    with pytest.raises(ConfigurationError) as caught:
        compile_part(changed, source_schema(part.source), target_columns()["member"])
    assert message in caught.value.message
    assert f"member.toml, line {mapping.place.line}" in caught.value.message
    assert remedy in caught.value.remedy


def test_a_target_column_that_must_be_there_must_be_mapped() -> None:
    part = retailer().part("store/pos")
    target = (*target_columns()["store"], target_column("region", "varchar(8)", nullable=False))
    with pytest.raises(ConfigurationError, match="does not map region"):
        compile_part(part, source_schema(part.source), target)
    filled = (*target_columns()["store"], target_column("region", "varchar(8)", nullable=False, default="EAST"))
    assert compile_part(part, source_schema(part.source), filled).target_columns[0].name == "store_code"

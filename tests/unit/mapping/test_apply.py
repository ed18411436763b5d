"""Every way in which a row can be bad, with the reason that is told of it, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from etl.errors import ConfigurationError
from etl.mapping.compile import CompiledPart, compile_part
from etl.mapping.load_mapping import load_mapping
from etl.mapping.outcome import FINDING_SCHEMA, LINK_SCHEMA
from etl.settings import MappingSettings
from tests.unit.mapping.frames import MEMBER, apply, reasons
from tests.unit.mapping.schemas import target_column

SHARED = 'name = "t"\ntables = ["item"]\nsentinels = ["1900-01-01"]\n'
SOURCE = pl.DataFrame(
    schema={
        "Id": pl.Int64,
        "Text": pl.String,
        "Text__damaged": pl.Boolean,
        "Number": pl.Decimal(19, 4),
        "Real": pl.Float64,
        "At": pl.Datetime("us"),
        "Day": pl.String,
        "Code": pl.String,
    }
)
TARGET = [
    target_column("id", "bigint", nullable=False),
    target_column("a", "varchar(4)"),
    target_column("b", "varchar(4)", nullable=False),
    target_column("n", "decimal(6,2)"),
    target_column("i", "tinyint unsigned"),
    target_column("at", "datetime(3)"),
    target_column("stamp", "timestamp(6)"),
    target_column("d", "date"),
    target_column("t", "text"),
    target_column("f", "double"),
]


def part_of(tmp_path: Path, columns: str, more: str = "") -> CompiledPart:
    """A part over SOURCE with these lines."""
    (tmp_path / "mapping.toml").write_text(SHARED)
    head = 'target = "item"\nkey = "id"\n[[part]]\nname = "x"\nsource = "db.dbo.Item"\nkey = "Id"\n'
    body = f'{more}\n[part.columns]\nid = {{ from = "Id", as = "integer" }}\n{columns}\n'
    (tmp_path / "item.toml").write_text(head + body)
    part = load_mapping(MappingSettings(path=str(tmp_path))).parts[0]
    target = [column for column in TARGET if column.nullable or any(mapping.target == column.name for mapping in part.columns)]
    return compile_part(part, SOURCE.to_arrow().schema, target)


def rows(**values: list[object]) -> pl.DataFrame:
    """Staged rows, numbered from 1."""
    count = len(next(iter(values.values())))
    data = {name: values.get(name, [None] * count) for name in SOURCE.columns} | {"Id": list(range(1, count + 1))}
    return pl.DataFrame(data, schema=SOURCE.schema)


NAMED = {
    "long": "too_long",
    "null": "null_not_allowed",
    "exact": "not_exact",
    "number": "not_a_number",
    "range": "out_of_range",
    "date": "bad_date",
    "code": "unknown_code",
    "guid": "bad_guid",
    "control": "control_characters",
}


@pytest.mark.parametrize(
    ("columns", "source", "values", "expected"),
    [
        ('a = { from = "Text", as = "text" }', "Text", ["好好好好", "好好好好好"], "- long"),
        ('b = { from = "Text", as = "text" }', "Text", ["x", " ", None], "- null null"),
        ('a = { from = "Text", as = "text", required = true }', "Text", ["x", None], "- null"),
        ('a = { from = "Text", as = "text", control = "reject" }', "Text", ["x", "a\x07"], "- control"),
        ('n = { from = "Number", as = "money" }', "Number", ["1.2300", "1.2340", "10000.0000"], "- exact range"),
        ('n = { from = "Text", as = "money" }', "Text", ["1.5", "x", "1.23456", "1.234", ""], "- number exact exact -"),
        ('i = { from = "Text", as = "integer" }', "Text", ["255", "256", "-1", "1.5", "9" * 30], "- range range exact range"),
        ('i = { from = "Real", as = "integer" }', "Real", [3.0, 3.5, float("inf"), 1e300], "- exact number range"),
        ('n = { from = "Real", as = "decimal" }', "Real", [0.25, 0.125, 1e300], "- exact range"),
        ('f = { from = "Real" }', "Real", [0.1, float("nan")], "- range"),
        (
            'd = { from = "Day", as = "date" }',
            "Day",
            ["1990-02-28", "1990-02-30", "0999-01-01", "1900-01-01", ""],
            "- date range - -",
        ),
        ('i = { from = "Text", as = "boolean" }', "Text", ["是", "maybe", " "], "- code -"),
        ('a = { from = "Code", as = "codes", codes = { A = "x" } }', "Code", ["A", "B", ""], "- code -"),
        ('t = { from = "Text", as = "guid" }', "Text", ["6f9619ff-8b86-d011-b42d-00c04fc964ff", "6f96", ""], "- guid -"),
        ('t = { from = "Text" }', "Text", ["a" * 65_535, "好" * 21_846], "- long"),
    ],
)
def test_a_bad_value_is_rejected_for_its_true_reason(
    tmp_path: Path, columns: str, source: str, values: list[object], expected: str
) -> None:
    wanted = {number: NAMED[word] for number, word in enumerate(expected.split(), 1) if word != "-"}
    outcome = part_of(tmp_path, columns).apply(rows(**{source: values}), {})
    assert reasons(outcome.rejects) == [(str(number), columns[0], reason) for number, reason in wanted.items()]
    assert outcome.rows["id"].to_list() == [number for number in range(1, len(values) + 1) if number not in wanted]
    assert outcome.kept is not None
    assert outcome.kept.to_list() == [number not in wanted for number in range(1, len(values) + 1)]


def test_text_that_was_damaged_in_the_source_is_rejected(tmp_path: Path) -> None:
    part = part_of(tmp_path, 'a = { from = "Text", as = "text" }\nt = { from = "Text", as = "text" }')
    outcome = part.apply(rows(Text=["ok", "ha\ufffd"], Text__damaged=[False, True]), {})
    assert reasons(outcome.rejects) == [("2", "a", "damaged_text")]
    assert outcome.rejects["masked_value"].to_list() == ["***"]


def test_times_outside_their_column_are_rejected(tmp_path: Path) -> None:
    part = part_of(tmp_path, 'at = { from = "At", as = "utc_time" }\nstamp = { from = "At", as = "utc_time" }')
    moments = ["2017-01-01T00:00:00.001", "2017-01-01T00:00:00.000001", "0999-12-31T00:00:00", "2040-01-01T00:00:00"]
    frame = rows(Id=[1, 2, 3, 4]).with_columns(At=pl.Series(moments).str.to_datetime(time_unit="us"))
    assert reasons(part.apply(frame, {}).rejects) == [
        ("2", "at", "not_exact"),
        ("3", "at", "out_of_range"),
        ("3", "stamp", "out_of_range"),
        ("4", "stamp", "out_of_range"),
    ]


def test_a_value_loaded_as_null_is_noted_and_its_row_kept() -> None:
    bad = {"Phone": "1391234567", "IdCard": "110105194912310021", "Gender": "?", "Tier": 9, "Email": "a@b"}
    outcome = apply("member/crm", [MEMBER | bad])
    assert outcome.rejects.is_empty()
    assert outcome.kept is None
    assert outcome.rows.select("phone", "id_card", "gender", "tier", "email").row(0) == (None, None, None, "BRONZE", None)
    assert reasons(outcome.notes) == [
        ("7", "email", "bad_email"),
        ("7", "gender", "unknown_code"),
        ("7", "id_card", "id_card_check_digit"),
        ("7", "phone", "bad_phone"),
        ("7", "tier", "unknown_code"),
    ]


@pytest.mark.parametrize("phone", ["无", "N/A", "-", "0", "00000000000", "2138001380", "+1 555 0100", "1380013800a", "65529988"])
def test_what_is_no_phone_is_never_dropped_in_silence(phone: str) -> None:
    outcome = apply("member/crm", [MEMBER | {"Phone": phone}])
    assert outcome.rows["phone"].to_list() == [None]
    assert reasons(outcome.notes) == [("7", "phone", "bad_phone")]


def test_values_changed_beyond_their_spelling_are_noted() -> None:
    changed = {"Name": "王\x1b小明", "Address": "上海\x07市", "Phone": "010-65529988-12", "CreatedAt": "1986-05-04T02:30:00"}
    outcome = apply("member/crm", [MEMBER | changed, MEMBER | {"UpdatedAt": "1988-09-11T01:30:00"}])
    assert outcome.rows["name"].to_list()[0] == "王小明"
    assert reasons(outcome.notes) == [
        ("7", "address", "control_characters"),
        ("7", "legacy_updated_at", "ambiguous_time"),
        ("7", "name", "control_characters"),
        ("7", "phone", "phone_extension"),
        ("7", "registered_at", "nonexistent_time"),
    ]


def test_one_row_may_have_several_reasons_and_no_notes_once_it_is_out() -> None:
    outcome = apply("member/crm", [MEMBER | {"Name": "名" * 41, "StoreCode": "S12345678", "Phone": "x"}])
    assert reasons(outcome.rejects) == [("7", "name", "too_long"), ("7", "name_key", "too_long"), ("7", "store_code", "too_long")]
    assert outcome.notes.is_empty()
    assert outcome.links is not None
    assert outcome.links.is_empty()


def test_no_finding_shows_a_personal_value() -> None:
    personal = {
        "Name": "欧阳小明" * 11,
        "Phone": "138123456",
        "IdCard": "110105194912310021",
        "Email": "ouyang.example.com",
        "Address": "某某路八号\x07",
    }
    outcome = apply("member/crm", [MEMBER | personal])
    shown = str(outcome.rejects.rows()) + str(outcome.notes.rows())
    for value in ("欧阳小明", "138123456", "194912310021", "ouyang", "八号"):
        assert value not in shown
    assert "欧***" in shown


def test_a_reject_rule_is_sql_over_the_source(tmp_path: Path) -> None:
    rule = '[[part.reject]]\ncode = "test_row"\ncolumn = "a"\nwhen = "Text LIKE \'TEST%\' OR Number < 0"'
    part = part_of(tmp_path, 'a = { from = "Text", as = "text" }', rule)
    assert "Number" in part.source_columns
    outcome = part.apply(rows(Text=["TEST", "x", "y"], Number=["1.0000", "-1.0000", None]), {})
    assert reasons(outcome.rejects) == [("1", "a", "test_row"), ("2", "a", "test_row")]


def test_a_default_fills_what_is_missing_but_not_what_is_bad(tmp_path: Path) -> None:
    part = part_of(tmp_path, 'd = { from = "Day", as = "date", default = "2000-01-01" }')
    outcome = part.apply(rows(Day=[None, "1900-01-01", "x"]), {})
    assert [str(day) for day in outcome.rows["d"]] == ["2000-01-01", "2000-01-01"]
    assert reasons(outcome.rejects) == [("3", "d", "bad_date")]


def test_a_misfit_may_be_loaded_as_null(tmp_path: Path) -> None:
    part = part_of(tmp_path, 'a = { from = "Text", as = "text", on_bad = "null" }')
    outcome = part.apply(rows(Text=["12345", "1234"]), {})
    assert outcome.rows["a"].to_list() == [None, "1234"]
    assert reasons(outcome.notes) == [("1", "a", "too_long")]


def test_a_required_value_that_cannot_be_read_keeps_its_own_reason(tmp_path: Path) -> None:
    part = part_of(tmp_path, 'd = { from = "Day", as = "date", required = true, on_bad = "null" }')
    outcome = part.apply(rows(Day=["x", None]), {})
    assert reasons(outcome.rejects) == [("1", "d", "bad_date"), ("2", "d", "null_not_allowed")]


def test_a_lookup_stands_beside_each_row_in_order(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(SHARED)
    (tmp_path / "item.toml").write_text(
        'target = "item"\nkey = "id"\n[[part]]\nname = "x"\nsource = "db.dbo.Item"\nkey = "Id"\n'
        '[[part.lookup]]\nname = "store"\ntable = "db.dbo.Store"\non = { Code = "StoreCode" }\n'
        '[part.columns]\nid = { from = "Id", as = "integer" }\na = { from = "store.City", as = "text" }\n'
    )
    part = load_mapping(MappingSettings(path=str(tmp_path))).parts[0]
    store = pl.DataFrame({"StoreCode": ["S1", "S2"], "City": ["沪", "京"], "Name": ["a", "b"]})
    target = [column for column in TARGET if column.nullable or column.name == "id"]
    compiled = compile_part(part, SOURCE.to_arrow().schema, target, {"store": store.to_arrow().schema})
    assert compiled.lookup_columns == {"store": ("StoreCode", "City")}
    frame = rows(Code=["S2", None, "S1", "S9", "S2"])
    assert compiled.apply(frame, {}, {"store": store}).rows["a"].to_list() == ["京", None, "沪", None, "京"]
    with pytest.raises(ConfigurationError, match="several rows"):
        compiled.apply(frame, {}, {"store": pl.concat([store, store])})


def test_keys_of_several_columns_are_told_apart() -> None:
    line = {"ProductId": 1, "Quantity": "1.000", "UnitPrice": "1.0000", "Amount": None}
    outcome = apply("sale_line/pos", [line | {"SaleNo": "A|1", "LineNo": 2}, line | {"SaleNo": "A", "LineNo": 12}])
    assert sorted(outcome.rejects["source_key"]) == ["A\\|1|2", "A|12"]


def test_findings_have_one_shape() -> None:
    good, bad = apply("member/crm", [MEMBER]), apply("member/crm", [MEMBER | {"Points": None, "Phone": "x"}])
    assert good.rejects.schema == bad.rejects.schema == good.notes.schema == FINDING_SCHEMA
    assert good.links is not None
    assert good.links.schema == LINK_SCHEMA

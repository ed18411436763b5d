"""mapping check says of each part what does not fit and what is left out; mapping show reads as the files do."""

from __future__ import annotations

from dataclasses import replace

from etl.mapping.check import MappingCheck, check_part
from etl.mapping.transforms.registry import TRANSFORMS
from reports.documents.mapping import check_document, describe, mapping_document, transforms_document
from reports.text import chinese
from tests.unit.mapping.schemas import retailer, source_schema, source_tables, target_columns

SCHEMAS = {table: source_schema(table) for table in source_tables()}


def test_a_sound_part_says_what_it_leaves_out() -> None:
    checked = check_part(retailer().part("member/ecom"), SCHEMAS, target_columns())
    assert checked.problem == ""
    assert checked.unread == ("Username",)
    assert checked.unfilled == ("id_card", "store_code", "merged_into")


def test_a_mistake_is_told_with_its_place_and_remedy() -> None:
    part = retailer().part("store/pos")
    wrong = replace(part, columns=(replace(part.columns[0], sources=("StoreCod",)), *part.columns[1:]))
    checked = check_part(wrong, SCHEMAS, target_columns())
    assert f"store.toml, line {part.columns[0].place.line}" in checked.problem
    assert "'StoreCode'" in checked.remedy
    check = MappingCheck("retailer", "folder", staged=True, parts=(checked,))
    document = check_document(check, "en")
    assert document.verdict.status == "bad"
    assert document.tables[0].rows == ((checked.problem, checked.remedy),)


def test_a_target_without_the_table_is_told() -> None:
    checked = check_part(retailer().part("store/pos"), SCHEMAS, {})
    assert "no table store" in checked.problem


def test_what_a_column_does_is_shown_briefly() -> None:
    part = retailer().part("sale/ecom")
    assert describe(part.column("sale_no")) == "prefix(with='E')"
    assert describe(part.column("member_id")) == "member(ecom)"
    assert describe(part.column("channel")) == "= 'ecom'"
    assert describe(part.column("sold_at")) == "utc_time"
    assert len(mapping_document(retailer(), retailer().parts, "zh").tables) == len(retailer().parts)


def test_every_transform_is_explained_in_both_languages() -> None:
    assert {transform.meaning for transform in TRANSFORMS.values()} <= chinese().keys()
    assert len(transforms_document("zh").tables[0].rows) == len(TRANSFORMS)

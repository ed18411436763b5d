"""Duplicates and collisions: what is gathered batch by batch is what one look at all rows would give."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from etl.assess.collisions import find_collisions, gather_keys, text_keys
from etl.assess.duplicates import PLACEHOLDER_LIMIT, estimate_duplicates, find_identifiers, gather_identifiers
from etl.assess.model import DuplicateEstimate
from etl.assess.relations import find_relations
from etl.assess.spill import KeySpill
from etl.source.catalog import Index
from tests.unit.assess.tables import LEDGER, MEMBER, STORE, by_name, column, table

CARD = table(
    "pos.dbo.PosMember",
    column("CardNo", "varchar", 20),
    column("Phone", "varchar", 30, nullable=True),
    column("IdCard", "varchar", 18, nullable=True),
    key=("CardNo",),
)
PEOPLE = by_name(MEMBER, CARD, LEDGER, STORE)


@pytest.fixture(params=[1_000_000, 2], ids=["in memory", "on disk"])
def spill(request: pytest.FixtureRequest, tmp_path: Path) -> KeySpill:
    return KeySpill(tmp_path, rows_in_memory=request.param)


def estimate(spill: KeySpill, members: list[str | None], cards: list[tuple[str | None, str | None]]) -> DuplicateEstimate:
    """The estimate for these phones of members, and phones and id cards of POS cards, read in batches of two."""
    identifiers = find_identifiers(PEOPLE, find_relations(PEOPLE))
    frames = {
        MEMBER.name: pl.DataFrame({"Phone": members}, schema={"Phone": pl.String}),
        CARD.name: pl.DataFrame(cards, schema={"Phone": pl.String, "IdCard": pl.String}, orient="row"),
    }
    with spill:
        for table_name, frame in frames.items():
            mine = [one for one in identifiers if one.table == table_name]
            for offset in range(0, frame.height, 2):
                gather_identifiers(spill, mine, frame[offset : offset + 2], offset)
        rows = {name: frame.height for name, frame in frames.items()}
        found = estimate_duplicates(spill, identifiers, rows, sampled=dict.fromkeys(frames, False))
    assert found is not None
    return found


def test_only_tables_of_persons_have_identifiers() -> None:
    order = table("ecom.dbo.Orders", column("OrderNo"), column("MemberId"), column("Phone", "varchar", 20), key=("OrderNo",))
    tables = by_name(MEMBER, CARD, order)
    assert {str(one.table) for one in find_identifiers(tables, find_relations(tables))} == {str(MEMBER.name), str(CARD.name)}


def test_the_same_phone_in_two_spellings_is_one_person(spill: KeySpill) -> None:
    found = estimate(spill, ["139 1234-5678", "+86 13912345678", "１３９１２３４５６７８", None, ""], [("8613912345678", None)])
    assert (found.ids, found.persons, found.surplus) == (6, 3, 3)
    assert [(use.filled, use.distinct, use.surplus) for use in found.uses if use.table == MEMBER.name] == [(3, 1, 2)]


def test_chains_through_different_identifiers_are_followed(spill: KeySpill) -> None:
    found = estimate(
        spill, ["13900000001", "13900000002"], [("13900000001", "11010119900307123x"), ("13900000002", "11010119900307123X")]
    )
    assert (found.surplus, found.persons) == (3, 1)
    assert {one.kind: one.in_several_tables for one in found.shared} == {"phone": 2, "id_card": 0}


def test_a_placeholder_makes_nobody_one_person(spill: KeySpill) -> None:
    found = estimate(spill, ["13800000000"] * (PLACEHOLDER_LIMIT + 1), [])
    assert (found.surplus, found.placeholders) == (0, 1)


def collisions(spill: KeySpill, keys: list[str | None], *, unique: bool = True) -> dict[str, int]:
    """How many rows collide under each collation."""
    indexes = (Index("U", ("Code",), (), unique=True, primary=False, filtered=False, kind="nonclustered"),) if unique else ()
    coupon = table("crm.dbo.Coupon", column("Id"), column("Code", "varchar", 20, nullable=True), key=("Id",), indexes=indexes)
    frame = pl.DataFrame({"Id": range(len(keys)), "Code": keys}, schema_overrides={"Code": pl.String})
    found = text_keys(coupon, frozenset(frame.columns), frozenset())
    with spill:
        for offset in range(0, frame.height, 2):
            part = frame[offset : offset + 2]
            gather_keys(spill, found, part, part["Id"].cast(pl.String))
        return {
            dict(one.values)["collation"]: one.count or 0 for key in found for one in find_collisions(spill, key, sampled=False)
        }


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["a", "b", "c", None, None], {}),
        (["abc", "ABC", "AbC"], {"utf8mb4_general_ci": 2, "utf8mb4_unicode_ci": 2, "utf8mb4_0900_ai_ci": 2}),
        (["José", "Jose"], {"utf8mb4_general_ci": 1, "utf8mb4_unicode_ci": 1, "utf8mb4_0900_ai_ci": 1}),
        (["a", "a "], {"utf8mb4_bin": 1, "utf8mb4_general_ci": 1, "utf8mb4_unicode_ci": 1}),
        (["😀", "👍"], {"utf8mb4_general_ci": 1, "utf8mb4_unicode_ci": 1}),
        (["strasse", "straße"], {"utf8mb4_unicode_ci": 1, "utf8mb4_0900_ai_ci": 1}),
    ],
)
def test_collisions_by_collation(spill: KeySpill, keys: list[str | None], expected: dict[str, int]) -> None:
    assert collisions(spill, keys) == expected


def test_values_that_only_repeat_are_no_twins(spill: KeySpill) -> None:
    assert collisions(spill, ["x", "x", "X", "x"], unique=False) == {
        "utf8mb4_general_ci": 1, "utf8mb4_unicode_ci": 1, "utf8mb4_0900_ai_ci": 1,
    }  # fmt: skip


def test_nothing_stays_on_disk(tmp_path: Path) -> None:
    collisions(KeySpill(tmp_path, rows_in_memory=1), ["a", "A", "b", "c"])
    assert list(tmp_path.iterdir()) == []


def test_what_identifies_nobody_joins_nobody(spill: KeySpill) -> None:
    nobody: list[str | None] = [
        "123",
        "123",
        "无",
        "无",
        "00000000000",
        "00000000000",
        "010-62345678",
        "010-62345678",
        "1391234567",
        "1391234567",
    ]
    found = estimate(spill, nobody, [("", "110101"), ("", "110101")])
    assert found.surplus == 0
    assert all(use.filled == 0 for use in found.uses)

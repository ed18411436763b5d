"""Which relations are guessed, and the exact T-SQL that counts their orphans."""

from __future__ import annotations

import pytest

from etl.assess.relations import Relation, find_relations, key_text, orphan_statement
from etl.assess.sampling import Sample
from etl.names import SourceTable
from etl.source.catalog import ForeignKey
from tests.unit.assess.tables import LEDGER, MEMBER, NOTE, STORE, by_name, column, table

WHOLE = Sample(None, 100)


def test_columns_named_like_a_key_point_at_its_table_even_in_another_database() -> None:
    found = {(str(one.child), one.columns, str(one.parent)) for one in find_relations(by_name(MEMBER, STORE, LEDGER, NOTE))}
    assert found == {
        ("crm.dbo.PointsLedger", ("MemberId",), "crm.dbo.Member"),
        ("crm.dbo.Member", ("StoreCode",), "pos.dbo.Store"),
        ("pos.dbo.TillNote", ("StoreCode",), "pos.dbo.Store"),
    }


def test_a_foreign_key_the_server_enforces_is_not_counted_again() -> None:
    enforced = ForeignKey("FK", ("MemberId",), MEMBER.name, ("MemberId",), trusted=True)
    ledger = table(str(LEDGER.name), *LEDGER.columns, key=LEDGER.key, foreign_keys=(enforced,))
    assert find_relations(by_name(MEMBER, ledger)) == ()


def test_a_foreign_key_never_checked_is() -> None:
    loose = ForeignKey("FK_Loose", ("MemberId",), MEMBER.name, ("MemberId",), trusted=False)
    ledger = table(str(LEDGER.name), *LEDGER.columns, key=LEDGER.key, foreign_keys=(loose,))
    assert [one.declared for one in find_relations(by_name(MEMBER, ledger))] == ["FK_Loose"]


def test_a_foreign_key_to_a_table_that_was_not_asked_for_is_left_alone() -> None:
    loose = ForeignKey("FK_Loose", ("MemberId",), MEMBER.name, ("MemberId",), trusted=False)
    assert find_relations(by_name(table(str(LEDGER.name), *LEDGER.columns, key=LEDGER.key, foreign_keys=(loose,)))) == ()


def test_a_name_that_leads_to_two_tables_of_other_databases_is_no_guess() -> None:
    other = table("ecom.dbo.Store", column("StoreCode", "varchar", 8), key=("StoreCode",))
    children = [one.child for one in find_relations(by_name(MEMBER, STORE, other))]
    assert MEMBER.name not in children


def test_numbers_do_not_point_at_text() -> None:
    ledger = table(str(LEDGER.name), column("EntryId"), column("StoreCode"), key=("EntryId",))
    assert find_relations(by_name(ledger, STORE)) == ()


def test_orphans_are_counted_by_one_select() -> None:
    relation = Relation(LEDGER.name, ("MemberId",), MEMBER.name, ("MemberId",))
    assert orphan_statement(relation, by_name(MEMBER, LEDGER), WHOLE) == (
        "SELECT COUNT_BIG(*), MIN((CONVERT(nvarchar(400), c.[EntryId]) COLLATE Latin1_General_100_BIN2)) "
        "FROM [crm].[dbo].[PointsLedger] AS c "
        "WHERE c.[MemberId] IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM [crm].[dbo].[Member] AS p WHERE p.[MemberId] = c.[MemberId])"
    )


def test_a_sample_reads_pages_of_the_child_only() -> None:
    relation = Relation(LEDGER.name, ("MemberId",), MEMBER.name, ("MemberId",))
    sql = orphan_statement(relation, by_name(MEMBER, LEDGER), Sample(2.5, 1000))
    assert "FROM [crm].[dbo].[PointsLedger] AS c TABLESAMPLE (2.500000 PERCENT) REPEATABLE (17) WHERE" in sql


@pytest.mark.parametrize(
    ("collation", "expected"), [("Chinese_PRC_CI_AS", ""), ("Latin1_General_CI_AS", " COLLATE Latin1_General_CI_AS")]
)
def test_text_is_compared_in_the_collation_of_the_parent(collation: str, expected: str) -> None:
    store = table("pos.dbo.Store", column("StoreCode", "varchar", 8, collation=collation), key=("StoreCode",))
    relation = Relation(MEMBER.name, ("StoreCode",), SourceTable("pos", "dbo", "Store"), ("StoreCode",))
    assert f"p.[StoreCode] = c.[StoreCode]{expected})" in orphan_statement(relation, by_name(MEMBER, store), WHOLE)


def test_a_key_of_several_collations_is_shown_in_one_and_a_personal_part_not_at_all() -> None:
    key = ("SaleNo", "Mobile", "Token")
    child = table(
        "pos.dbo.Slip",
        column("SaleNo", "varchar", 20, collation="Chinese_PRC_CI_AS"),
        column("Mobile", "varchar", 20, collation="Latin1_General_CI_AS"),
        column("Token", "binary", 8),
        key=key,
    )
    assert key_text(child, "c") == (
        "(CONVERT(nvarchar(400), c.[SaleNo]) COLLATE Latin1_General_100_BIN2) + N'|' + N'***' + N'|' + "
        "(CONVERT(nvarchar(400), c.[Token], 1) COLLATE Latin1_General_100_BIN2)"
    )

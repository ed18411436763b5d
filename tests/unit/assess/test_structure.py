"""What the declarations alone betray."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from etl.assess.inventory import describe_table
from etl.assess.long_rows import long_row_statement
from etl.assess.model import AssessRequest
from etl.assess.sampling import Sample, plan_sample
from etl.assess.scan import scan_statement
from etl.assess.structure import check_identities, check_structure
from etl.source.catalog import Column, ForeignKey, Index, Row, Table
from tests.unit.assess.tables import MEMBER, STORE, by_name, column, table


def codes(subject: Table) -> set[tuple[str, str | None]]:
    """(code, column) of every finding about a table."""
    return {(one.code, one.column) for one in check_structure(subject, describe_table(subject, frozenset()))}


def one_column(subject: Column) -> set[str]:
    """Codes about one column of an otherwise harmless table."""
    return {
        code for code, where in codes(table("d.dbo.T", column("Id"), subject, key=("Id",), tracked=True)) if where == subject.name
    }


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (column("A", "sql_variant", 8016), {"refused_type"}),
        (column("A", "xml", -1), {"special_type"}),
        (column("A", "geography", -1), {"special_type"}),
        (column("A", "hierarchyid", 892), {"special_type"}),
        (column("A", "float", 8), {"float_column"}),
        (column("A", "datetime2", 8, scale=7), {"time_cut"}),
        (column("A", "datetime2", 8, scale=6), set()),
        (column("A", "decimal", 17, precision=38, scale=38), {"decimal_scale"}),
        (column("A", "decimal", 17, precision=38, scale=30), set()),
        (column("A", "money", 8, is_computed=True), {"computed_column"}),
        (column("A" * 65), {"long_name"}),
    ],
)
def test_columns(subject: Column, expected: set[str]) -> None:
    assert one_column(subject) == expected


def test_tables_without_a_key_or_without_a_trace_of_changes() -> None:
    assert codes(table("d.dbo.T", column("A"))) == {("no_key", None)}
    assert codes(table("d.dbo.T", column("A"), key=("A",))) == {("no_change_source", None)}
    assert codes(MEMBER) == {("changes_by_column_only", "UpdatedAt")}
    assert codes(table("d.dbo.T", column("A"), column("V", "timestamp", 8, is_rowversion=True), key=("A",))) == set()


def test_a_guid_key() -> None:
    assert ("guid_key", "A") in codes(table("d.dbo.T", column("A", "uniqueidentifier", 16), key=("A",), tracked=True))


def test_an_index_too_long_for_the_target() -> None:
    wide = column("A", "nvarchar", 1700)
    index = Index("IX", ("A",), (), unique=False, primary=False, filtered=False, kind="nonclustered")
    assert ("index_too_long", "A") in codes(table("d.dbo.T", column("Id"), wide, key=("Id",), indexes=(index,), tracked=True))


def test_a_foreign_key_nobody_checked() -> None:
    loose = ForeignKey("FK", ("StoreCode",), STORE.name, ("StoreCode",), trusted=False)
    subject = table("d.dbo.T", column("Id"), column("StoreCode", "varchar", 8), key=("Id",), foreign_keys=(loose,), tracked=True)
    assert codes(subject) == {("untrusted_foreign_key", "StoreCode")}


class Identities:
    """Answers the one query about identities."""

    def __init__(self, last: int) -> None:
        self.last = last

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        assert sql.lstrip().startswith("SELECT")
        return [("dbo", "member", "MemberId", str(self.last), "int")]


@pytest.mark.parametrize(("last", "found"), [(2_000_000_000, True), (1_000_000, False)])
def test_an_identity_near_its_limit(last: int, found: bool) -> None:
    assert [one.code for one in check_identities(Identities(last), by_name(MEMBER))] == ["identity_near_limit"] * found


def test_small_tables_are_read_whole_and_large_ones_sampled() -> None:
    request = AssessRequest(scan_limit_rows=1_000, sample_rows=100)
    large = table("d.dbo.T", column("A"), key=("A",), rows=10_000)
    assert plan_sample(MEMBER, request) == Sample(None, 100)
    assert plan_sample(large, request) == Sample(1.0, 100)
    assert plan_sample(large, AssessRequest(full=True, scan_limit_rows=1_000)).sampled is False
    assert (
        scan_statement(large, Sample(1.0, 100)) == "SELECT [A] FROM [d].[dbo].[T] TABLESAMPLE (1.000000 PERCENT) REPEATABLE (17)"
    )


def test_a_table_of_few_but_huge_rows_is_sampled_by_bytes() -> None:
    huge = table("d.dbo.T", column("A"), key=("A",), rows=1_000, size=200 * 1024**3)
    plan = plan_sample(huge, AssessRequest(scan_limit_bytes=2 * 1024**3))
    assert plan.percent == pytest.approx(1.0)


def test_long_rows_are_measured_by_the_server() -> None:
    subject = table("d.dbo.T", column("Id"), column("Doc", "nvarchar", -1), column("Scan", "varbinary", -1), key=("Id",))
    assert long_row_statement(subject, Sample(None, 9)) == (
        "SELECT COUNT_BIG(*), MIN((CONVERT(nvarchar(400), t.[Id]) COLLATE Latin1_General_100_BIN2)) FROM [d].[dbo].[T] AS t "
        "WHERE ISNULL(DATALENGTH(t.[Doc]), 0) * 1.5 + ISNULL(DATALENGTH(t.[Scan]), 0) * 1.0 > 6291456"
    )

"""A whole move of '***' instead of phone numbers, proved complete: masks and row filters must be told before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import SecretStr

from etl.checks.source_hidden import check_hidden
from etl.names import SourceTable
from etl.settings import SourceSettings
from etl.source.hidden import masked_columns
from etl.stage.plan import refuse_masked

SETTINGS = SourceSettings(url=SecretStr("mssql://mover:secret@127.0.0.1:1"), databases=("crm",))


class Answers:
    """A server of some version, with a masked column and a policy: what is asked of it is the T-SQL under test."""

    def __init__(self, version: str, *, masked: bool = False, filtered: bool = False) -> None:
        self.version, self.masked, self.filtered = version, masked, filtered
        self.asked: list[str] = []

    def query(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        if "ProductVersion" in sql:
            return [(self.version,)]
        if "sys.databases" in sql:
            return [("crm",)]
        if "masked_columns" in sql:
            return [("dbo", "Member", "Phone")] if self.masked else []
        return [("dbo", "Sale", "ByStore")] if self.filtered else []


def test_a_server_of_2014_is_not_asked_for_views_it_does_not_have() -> None:
    server = Answers("12.0.6024.0", masked=True)
    assert [check.status for check in check_hidden(server, SETTINGS)] == ["ok"]
    assert not [sql for sql in server.asked if "masked_columns" in sql or "security_policies" in sql]
    assert refuse_masked(server, [SourceTable("crm", "dbo", "Member")]) == {}


def test_a_mask_fails_with_the_grant_that_lifts_it_and_stops_the_stage_of_that_table() -> None:
    server = Answers("15.0.2000.5", masked=True)
    (check,) = check_hidden(server, SETTINGS)
    assert check.status == "fail"
    assert "crm.dbo.Member.Phone" in check.found_text
    assert check.remedy_text == "Run in each of these databases: GRANT UNMASK TO [mover]"
    member = SourceTable("crm", "dbo", "Member")
    refused = refuse_masked(server, [member, SourceTable("crm", "dbo", "Sale")])
    assert list(refused) == [member]
    assert "Phone" in refused[member]


def test_a_policy_is_a_warning_since_nobody_here_can_tell_what_it_lets_through() -> None:
    (check,) = check_hidden(Answers("16.0.1000.6", filtered=True), SETTINGS)
    assert check.status == "warn"
    assert "crm.dbo.Sale (ByStore)" in check.found_text


def test_names_are_quoted_for_sql_and_for_text() -> None:
    server = Answers("15.0.2000.5")
    masked_columns(server, ["o'dd]x"])
    assert "FROM [o'dd]]x].sys.masked_columns AS c" in server.asked[-1]
    assert "HAS_PERMS_BY_NAME(N'[o''dd]]x]', N'DATABASE', N'UNMASK')" in server.asked[-1]

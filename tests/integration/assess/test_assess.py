"""An assessment of the generated retailer finds what was planted, all of it and nothing else, and leaves no trace."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from pydantic import SecretStr

from cli.output import plain
from etl.assess.draft_mapping import draft_mapping_of
from etl.assess.model import AssessRequest, AssessResult
from etl.assess.run import run_assess
from etl.errors import UsageError
from etl.mapping.load_mapping import load_mapping
from etl.names import SourceTable
from etl.progress import Silent
from etl.settings import MappingSettings, Settings, SourceSettings, StateSettings, TargetSettings
from etl.source.session import FastSession, PlainSession
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from migrations.schema.planned import planned_columns
from reports.documents.assess import assess_document
from reports.html import render_html
from tests.conftest import READER

DATABASES = ("crm", "pos", "ecom")
Counts = Counter[tuple[str, str, str, str]]


def as_reader(settings: Settings, legacy: LegacyServer) -> Settings:
    """The same settings with a login that may read and not write."""
    url = SecretStr(legacy.url.replace(f"//{legacy.user}:", f"//{READER}:", 1))
    return settings.model_copy(update={"source": settings.source.model_copy(update={"url": url})})


@pytest.fixture(scope="module")
def settings(legacy: LegacyServer, retailer: LegacyData, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("assess")
    target = TargetSettings(url=SecretStr("mysql://nobody:nothing@127.0.0.1:1"))
    source = SourceSettings(url=SecretStr(legacy.url), databases=DATABASES, retries=1)
    made = Settings(source=source, target=target, state=StateSettings(dir=folder), origin=folder / "membershift.toml")
    return as_reader(made, legacy)


@pytest.fixture(scope="module")
def assessed(settings: Settings) -> AssessResult:
    """Everything, read whole, by a login that could write nothing, with the retailer's mapping tried on the rows."""
    return run_assess(settings, AssessRequest(), Silent(), load_mapping(MappingSettings()), planned_columns())


def found(result: AssessResult, *codes: str) -> Counts:
    """Counts by (code, table, column, detail) of findings with these codes."""
    counts: Counts = Counter()
    for finding in result.findings:
        if finding.code in codes:
            detail = next((value for name, value in finding.values if name in ("date", "collation", "reason")), "")
            counts[finding.code, str(finding.table), finding.column or "", detail] += finding.count or 0
    return counts


def planted(data: LegacyData, kind: str) -> Counter[tuple[str, str]]:
    """Planted defects of one kind by table and column."""
    truth = data.frame("truth_defect").filter(kind=kind)
    return Counter({(table, column): rows for table, column, rows in truth.group_by("table", "column").len().iter_rows()})


def by_column(counts: Counts) -> Counter[tuple[str, str]]:
    """Counts by table and column alone."""
    summed: Counter[tuple[str, str]] = Counter()
    for (_, table, column, _), rows in counts.items():
        summed[table, column] += rows
    return summed


def values(data: LegacyData, table: str, column: str) -> pl.Series:
    """A column as generated."""
    return data.frame(table)[column]


def test_lone_surrogates_are_those_planted_and_no_emoji(assessed: AssessResult, retailer: LegacyData) -> None:
    assert by_column(found(assessed, "lone_surrogate")) == planted(retailer, "lone_surrogate")


def test_control_characters(assessed: AssessResult, retailer: LegacyData) -> None:
    counts = by_column(found(assessed, "control_character"))
    counts.pop(("pos.dbo.TillNote", "Note"))  # the tills' own line ends, planted in no account
    assert counts == planted(retailer, "control_characters")


def test_lost_characters(assessed: AssessResult, retailer: LegacyData) -> None:
    assert by_column(found(assessed, "lost_character")) == planted(retailer, "lost_character")


def test_trailing_spaces(assessed: AssessResult, retailer: LegacyData) -> None:
    counts = by_column(found(assessed, "trailing_space"))
    counts.pop(("pos.dbo.TillNote", "Note"), None)
    assert counts == planted(retailer, "trailing_spaces")


def test_sentinel_dates_and_dates_out_of_range(assessed: AssessResult, retailer: LegacyData) -> None:
    expected = planted(retailer, "sentinel_date") + planted(retailer, "null_forbidden") + zero_dates(retailer)
    assert by_column(found(assessed, "sentinel_date")) == expected
    assert by_column(found(assessed, "date_out_of_range")) == Counter(
        {place: rows for place, rows in planted(retailer, "bad_date").items() if place[1] == "LastLoginAt"}
    )


def test_money_at_the_ends_of_its_type(assessed: AssessResult, retailer: LegacyData) -> None:
    counts = by_column(found(assessed, "money_extreme"))
    for table, column in (("crm.dbo.Member", "Balance"), ("pos.dbo.Sale", "Total"), ("pos.dbo.SaleLine", "Amount")):
        assert counts[table, column] == int((values(retailer, table, column).abs() > 900_000_000_000_000).sum())
    assert counts["pos.dbo.Sale", "Total"] == 2


def test_orphans_are_those_planted_across_databases_too(assessed: AssessResult, retailer: LegacyData) -> None:
    assert by_column(found(assessed, "orphan")) == planted(retailer, "orphan")


def test_what_code_page_936_could_not_take_back(assessed: AssessResult, retailer: LegacyData) -> None:
    broken = retailer.frame("truth_defect").filter(kind="lone_surrogate", column="RealName")["key"]
    accounts = retailer.frame("ecom.dbo.Account").filter(~pl.col("AccountId").is_in(broken.implode()))
    names = [name for name in accounts["RealName"].drop_nulls() if not survives(name)]
    assert by_column(found(assessed, "code_page_loss"))["ecom.dbo.Account", "RealName"] == len(names) > 0


def survives(text: str) -> bool:
    """Whether code page 936 holds a text; Python's codec lacks only the euro sign of what Windows has."""
    try:
        text.replace("€", "").encode("cp936")
    except UnicodeEncodeError:
        return False
    return True


def test_twins_under_each_collation(assessed: AssessResult, retailer: LegacyData) -> None:
    case, accent, spaces = (planted(retailer, kind) for kind in ("case_twin", "accent_twin", "trailing_spaces"))
    counts = found(assessed, "collation_twin", "collation_collision")
    code, email, campaign = ("crm.dbo.Coupon", "Code"), ("ecom.dbo.Account", "Email"), ("crm.dbo.Campaign", "Code")
    assert counts["collation_twin", *code, "utf8mb4_bin"] == spaces[code]
    assert counts["collation_twin", *code, "utf8mb4_general_ci"] == spaces[code] + case[code]
    assert counts["collation_twin", *code, "utf8mb4_0900_ai_ci"] == case[code]
    assert counts["collation_twin", *email, "utf8mb4_unicode_ci"] == case[email] + accent[email]
    for collation in ("utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_0900_ai_ci"):
        assert counts["collation_collision", *campaign, collation] == accent[campaign] > 0
    assert ("collation_collision", *campaign, "utf8mb4_bin") not in counts


def test_what_the_mapping_would_reject(assessed: AssessResult, retailer: LegacyData) -> None:
    rejected = found(assessed, "mapping_reject")
    expected: Counts = Counter()
    for kind, reason in (("null_forbidden", "null_not_allowed"), ("too_long", "too_long"), ("lone_surrogate", "damaged_text")):
        for place, rows in planted(retailer, kind).items():
            expected["mapping_reject", *place, reason] += rows
    assert rejected == expected
    assert not found(assessed, "mapping_misfit")


def zero_dates(data: LegacyData) -> Counter[tuple[str, str]]:
    """Planted as bad_date, and by rule a way to write "none": MySQL's 0000-00-00."""
    keys = data.frame("truth_defect").filter(kind="bad_date", column="Birthday")["key"].to_list()
    cards = data.frame("pos.dbo.PosMember").filter(pl.col("CardNo").is_in(keys), Birthday="0000-00-00")
    return Counter({("pos.dbo.PosMember", "Birthday"): cards.height})


def test_bad_phones_cards_and_dates_are_exactly_those_planted(assessed: AssessResult, retailer: LegacyData) -> None:
    noted = found(assessed, "mapping_note")
    of_reason = {reason: Counter({(t, c): n for (_, t, c, r), n in noted.items() if r == reason}) for *_, reason in noted}
    assert planted(retailer, "bad_phone").keys() == {
        ("crm.dbo.Member", "Phone"), ("pos.dbo.PosMember", "Phone"), ("ecom.dbo.Account", "Phone")
    }  # fmt: skip
    assert of_reason["bad_phone"] == planted(retailer, "bad_phone")
    assert of_reason["id_card_check_digit"] == planted(retailer, "bad_id_check")
    birthdays = Counter({place: rows for place, rows in planted(retailer, "bad_date").items() if place[1] == "Birthday"})
    assert zero_dates(retailer).total() > 0
    assert of_reason["bad_date"] + zero_dates(retailer) == birthdays
    logins = planted(retailer, "bad_date") - birthdays  # before the year 1000, which the target does not promise to hold
    assert of_reason["out_of_range"] == logins


def test_duplicates_come_near_the_truth(assessed: AssessResult, retailer: LegacyData) -> None:
    truth = retailer.frame("truth_person")
    assert assessed.duplicates is not None
    assert assessed.duplicates.ids == truth.height
    assert assessed.duplicates.surplus == pytest.approx(int(truth["is_surplus"].sum()), rel=0.1)


def test_inventory(assessed: AssessResult, retailer: LegacyData) -> None:
    tables = {str(table.name): table for table in assessed.tables}
    assert {name: table.rows for name, table in tables.items()} == retailer.rows
    member, note, sale = tables["crm.dbo.Member"], tables["pos.dbo.TillNote"], tables["pos.dbo.Sale"]
    assert (member.key, member.identity, member.rowversion, member.last_changed) == (
        ("MemberId",),
        "MemberId",
        "RowVer",
        "UpdatedAt",
    )
    assert (member.change_source, member.mapped, member.collations) == ("change_tracking", True, ("Chinese_PRC_CI_AS",))
    assert (note.key, note.change_source, note.mapped) == ((), "none", False)
    assert sale.computed == ("Paid",)
    facts = {one.name: one for one in assessed.databases}
    assert set(facts) == set(DATABASES)
    assert (facts["crm"].code_page, facts["crm"].snapshot_isolation, facts["crm"].retention) == (936, True, "7 days")


def test_structure(assessed: AssessResult) -> None:
    where = {(finding.code, str(finding.table), finding.column) for finding in assessed.findings}
    assert ("no_key", "pos.dbo.TillNote", None) in where
    assert ("special_type", "crm.dbo.Consent", "Evidence") in where
    assert ("computed_column", "pos.dbo.Sale", "Paid") in where
    assert ("guid_key", "ecom.dbo.Account", "AccountId") in where
    assert ("float_column", "pos.dbo.Store", "Latitude") in where
    assert ("time_cut", "ecom.dbo.Account", "CreatedAt") in where


def test_no_value_of_a_member_is_in_any_output(assessed: AssessResult, retailer: LegacyData) -> None:
    outputs = json.dumps(plain(assessed), ensure_ascii=False) + "".join(
        render_html(assess_document(assessed, lang)) for lang in ("en", "zh")
    )
    members = retailer.frame("crm.dbo.Member")
    for column in ("Phone", "IdCard", "Email", "UnionId", "Address"):
        shown = [value for value in members[column].drop_nulls() if len(value) > 6 and value in outputs]
        assert not shown


def test_only_selects_are_sent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    for session, name in (
        (PlainSession, "query"),
        (PlainSession, "arrow_batches"),
        (FastSession, "query"),
        (FastSession, "arrow_batches"),
    ):
        original = getattr(session, name)

        def spy(self: object, sql: str, *args: object, original: object = original, **more: object) -> object:
            sent.append(sql.split(maxsplit=1)[0].upper())
            return original(self, sql, *args, **more)  # type: ignore[operator]  # the method it stands before

        monkeypatch.setattr(session, name, spy)
    run_assess(settings, AssessRequest(tables=("crm.dbo.Campaign", "crm.dbo.Coupon")), Silent())
    assert set(sent) <= {"SELECT", "SET", "BEGIN", "COMMIT"}
    assert sent.count("SELECT") > 10


def test_a_sample_says_so_and_never_more_than_a_whole_read(settings: Settings, assessed: AssessResult) -> None:
    request = AssessRequest(tables=("crm.dbo.Member",), scan_limit_rows=100, sample_rows=1_000)
    result = run_assess(settings, request, Silent())
    (member,) = result.tables
    assert member.sampled
    assert 0 < member.looked_at < 2_000
    counted = [finding for finding in result.findings if finding.count is not None]
    assert counted
    assert all(finding.sampled and finding.looked_at is not None for finding in counted)
    whole = found(assessed, "sentinel_date")
    assert all(rows <= whole[place] for place, rows in found(result, "sentinel_date").items())
    full = run_assess(settings, replace(request, full=True), Silent())
    assert full.tables[0].looked_at == 2_000


def test_the_state_folder_is_left_as_it_was(assessed: AssessResult, settings: Settings) -> None:
    assert assessed.seconds > 0
    assert not list(Path(settings.state_dir).glob("assess-*"))


def test_the_estimate_is_measured_on_this_source(assessed: AssessResult) -> None:
    estimate = assessed.estimate
    assert "parquet_ratio" in estimate.measured
    assert estimate.stage_bytes > 0
    assert estimate.target_bytes > estimate.stage_bytes
    assert estimate.stage_seconds == pytest.approx(sum(one.rows for one in estimate.tables) / estimate.rates.extract_rows_per_s)


def test_an_unknown_table_is_a_usage_error_with_the_nearest_name(settings: Settings) -> None:
    with pytest.raises(UsageError, match="Membr") as caught:
        run_assess(settings, AssessRequest(tables=("crm.dbo.Membr",)), Silent())
    assert "crm.dbo.Member" in caught.value.remedy


def test_a_draft_of_the_retailer_loads_back(settings: Settings, tmp_path: Path) -> None:
    draft = draft_mapping_of(settings, None, tmp_path / "draft")
    mapping = load_mapping(MappingSettings(path=str(tmp_path / "draft")))
    assert {part.source for part in mapping.parts} == set(draft.tables)
    assert draft.keyless == (SourceTable("pos", "dbo", "TillNote"),)
    phones = {part.source.name for part in mapping.parts for column in part.columns if column.personal == "phone"}
    assert phones == {"Member", "PosMember", "Account"}


def test_it_says_when_max_load_cannot_work(settings: Settings) -> None:
    result = run_assess(settings, AssessRequest(tables=("crm.dbo.Campaign",), max_load_percent=50), Silent())
    assert result.notes == ("max_load_blind",)

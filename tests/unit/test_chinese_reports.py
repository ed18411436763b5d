"""Every kind of report, with something in each of its places, leaves no English sentence under --lang zh."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import reports.documents
from etl.assess.draft_mapping import Draft, DraftFile
from etl.check_config import ConfigCheck
from etl.checks.model import CheckResult, DoctorResult
from etl.load.as_is_ddl import describe_table
from etl.load.export_rejects import Exported, RejectCount, RejectList
from etl.load.import_files import ImportedFile, ImportResult
from etl.load.model import CanaryPart, CanaryResult, LoadResult, ReasonCount, TableLoad
from etl.load.preflight import require_same_mapping
from etl.load.refill import FILLED, Refilled
from etl.load.rejects import Reject
from etl.load.retry_rejects import RetriedPart, RetryResult
from etl.load.runs import Run
from etl.mapping.check import MappingCheck, PartCheck
from etl.mapping.load_mapping import load_mapping
from etl.names import SourceTable
from etl.reconcile.differences import ColumnChange, Difference, Kind, ReconcileResult, TableResult
from etl.reconcile.invariant_model import InvariantResult, InvariantRow, InvariantsResult
from etl.reconcile.invariant_model import Verdict as InvariantVerdict
from etl.reconcile.invariant_spec import load_invariants
from etl.reconcile.outcome import FROM_TWO_ROWS, NO_MEMBER_ID, TWICE_ON_TARGET
from etl.reconcile.repair import RepairResult, TableRepair
from etl.settings import MappingSettings
from etl.source.catalog import Catalog, Column, Index, Table
from etl.source.extract import left_out
from etl.stage.plan import refuse_unreadable
from etl.stage.summary import StageStatus
from fixtures.drills.faults import DRILLS
from fixtures.drills.model import Answered, DrillResult, Proof, Told
from fixtures.drills.production import Returned
from fixtures.mariadb import NOTICE
from fixtures.sandbox import Endpoint, Sandbox
from migrations.schema.commands import SchemaChange, SchemaStatus, TableRows
from migrations.schema.drift import Drift
from reports.document import Document
from reports.documents import (
    assess,
    config,
    doctor,
    draft_mapping,
    drill,
    imports,
    load,
    mapping,
    reconcile,
    reconcile_invariants,
    reconcile_repair,
    sandbox,
    schema,
    stage,
)
from tests.unit.assess.test_document import result as assessed
from tests.unit.dedupe import documents as dedupe_documents
from tests.unit.loadtest import documents as loadtest_documents
from tests.unit.release import command_documents, kept_documents, timeline_documents
from tests.unit.sync import documents as sync_documents
from tests.unit.test_stage_document import RESULT as STAGED
from tests.unit.test_stage_document import WHOLE

CHINESE = re.compile(r"[\u4e00-\u9fff]")
WORD = re.compile(r"(?<![\w./=-])[A-Za-z][a-z']+(?![\w/=-])(?!\.\w)")
COMMAND = re.compile(r"`[^`]*`")
NO_SENTENCES = re.compile(r"^(CREATE|SELECT|INSERT|export|membershift|SQL Server|/|\[)")
"""SQL, commands, names of products, paths."""
LIST = re.compile(r"^[^ ,]+(, [^ ,]+)+$")
"""Names and codes, one after the other."""

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PART = TableLoad("member/crm", "member", "crm.dbo.Member", 10, 2, 5, 1, 2, 3, 0, 1.5, (ReasonCount("name", "too_long", 2),))
DETAILS = (
    "loaded as NULL", "loaded as BRONZE", FILLED, "half a surrogate pair", "the target refused the row with error 1366",
    "sale_no is already taken by the row with source key 12", "12 characters, 8 fit", "70000 bytes, 65535 fit", "16 bytes fit",
    "a row with this key is on the target with other values in: name, phone", "before the year 1000", "-128 to 127 fit",
    "more than 2 fractional digits", "more than 8 digits before the point", "more than 3 digits of a second",
    "the record has more or fewer cells than the header",
)  # fmt: skip


def odd_table() -> Table:
    """A table that cannot be moved as it is in every way there is."""
    columns = (
        Column("Id", "nvarchar", 8000, 0, 0, False, "Chinese_PRC_CI_AS"),
        Column("Sum", "money", 8, 19, 4, True, is_computed=True),
        Column("Ver", "timestamp", 8, 0, 0, False, is_rowversion=True),
        Column("N", "int", 4, 10, 0, True),
    )
    indexes = (
        Index("ix_some", ("N",), (), unique=False, primary=False, filtered=True, kind="nonclustered"),
        Index("ix_store", (), (), unique=False, primary=False, filtered=False, kind="clustered columnstore"),
        Index("ix_sum", ("Sum",), (), unique=False, primary=False, filtered=False, kind="nonclustered"),
        Index("ix_long", ("Id", "N"), (), unique=False, primary=False, filtered=False, kind="nonclustered"),
    )
    return Table(SourceTable("crm", "dbo", "Odd"), columns, ("Id",), indexes)


def load_notes() -> tuple[str, ...]:
    """What a load can say beside its figures, by the functions that say it."""
    told = require_same_mapping((Run(1, "load", "done", {"parts": {"p": "old"}}),), "p", "new", begun=True, complete=True)
    assert told is not None
    keyless = describe_table(replace(odd_table(), key=()), "m", "odd", is_tidb=True).notes
    return (told, *describe_table(odd_table(), "m", "odd", is_tidb=True).notes, *keyless)


def loads() -> Iterator[Document]:
    canary = CanaryResult(0.1, 0.05, (CanaryPart("member/crm", 100, 1, 1, 1, ("name",)),))
    result = LoadResult(True, (PART,), 2.0, 7, canary, ("CREATE TABLE t (a INT)",), load_notes())
    yield load.load_document(result, "zh")
    yield load.load_document(replace(result, executed=False), "zh")
    yield load.load_document(replace(result, tables=(replace(PART, rejected=0),)), "zh")
    lines = tuple(
        Reject(n, "member/crm", "crm.dbo.Member", str(n), "member", "name", "too_long", "王***", detail, TIME, None)
        for n, detail in enumerate(DETAILS)
    )
    yield load.rejects_document(RejectList(lines, (RejectCount("member/crm", ReasonCount("name", "too_long", 9)),)), "zh")
    yield load.exported_document(Exported(Path("/tmp/rejects.xlsx"), 3), "zh")
    retried = RetriedPart("sale/pos", "sale", 5, 4, 2, 1, 1, (), Refilled(9, 8, 7))
    for executed in (True, False):
        yield load.retry_document(RetryResult(executed, (retried,), 1.0, (retried,), (("sales.csv", 3),)), "zh")
    yield load.retry_document(RetryResult(True, (), 1.0), "zh")


def files() -> Iterator[Document]:
    file = ImportedFile(
        "a.csv",
        "UTF-8",
        9,
        1,
        5,
        1,
        2,
        1,
        (ReasonCount("phone", "bad_phone", 2),),
        (("手机", "Phone"),),
        ("备注",),
        Path("b.csv"),
    )
    for executed in (True, False):
        yield imports.import_document(ImportResult(executed, "members", "member/pos", (file,), 1.0), "zh")
    yield imports.import_document(ImportResult(True, "members", "member/pos", (replace(file, rejected=0, loaded=0),), 1.0), "zh")


def stages() -> Iterator[Document]:
    unreadable = Table(
        SourceTable("crm", "dbo", "Any"),
        (Column("A", "sql_variant", 8016, 0, 0, True), Column("B", "SomeClrType", 8, 0, 0, True)),
        (),
    )
    table = replace(WHOLE, changed=True, left_out=tuple((one.column, one.reason) for one in left_out(odd_table())))
    refused = {SourceTable("crm", "dbo", "Any"): "Phone, Name: shown masked to this login, see membershift doctor"}
    reasons = refuse_unreadable(Catalog({unreadable.name: unreadable}))
    result = replace(STAGED, tables=(table,), paused_s=5.0, blind_to_load=True, driver="pymssql")
    yield stage.stage_document(result, "zh")
    yield stage.stage_document(replace(result, refused=tuple(refused.items())), "zh")
    yield stage.stage_document(replace(result, refused=tuple(reasons.items())), "zh")
    for tables, running in (((), False), ((table,), False), ((replace(table, complete=False),), True)):
        yield stage.status_document(StageStatus(tables, running), "zh")


def mappings() -> Iterator[Document]:
    whole = load_mapping(MappingSettings())
    yield mapping.mapping_document(whole, whole.parts, "zh")
    yield mapping.transforms_document("zh")
    problems = (
        ("member.toml, line 7: unknown source column 'Fone' for phone.", "Did you mean 'Phone'?"),
        ("member.toml, line 7: unknown target column 'fone' of member.", "There are: a, b."),
        ("member.toml, line 7: unknown key column 'Idd' in crm.dbo.Member.", "There are none."),
        ("member.toml, line 1: member/crm does not map name, which member must have.",
         'Add name = { from = "..." } or { value = ... }.'),
        ("member.toml, line 7: phone: 'phone' does not read Id, which is number; it reads text.",
         "Transforms that read number: integer, money."),
        ("member.toml, line 7: the reject rule 'x' cannot be read: sql parser error.", "Write SQL over source columns."),
        ("member.toml, line 7: name (text): it takes text, and the transform gives Int64: use as = \"text\".",
         "Correct `as`, or change the target column."),
    )  # fmt: skip
    part = PartCheck("member/crm", "crm.dbo.Member", "member", 3, ("A",), ("b",))
    broken = tuple(replace(part, problem=problem, remedy=remedy) for problem, remedy in problems)
    for parts, staged in (((part,), True), (broken, False)):
        yield mapping.check_document(MappingCheck("retailer", "/tmp/mapping", staged, parts), "zh")


def others() -> Iterator[Document]:
    yield assess.assess_document(assessed(), "zh")
    yield config.config_document({"source": {"url": "mssql://a:***@b"}}, "zh")
    yield config.check_document(ConfigCheck("membershift.toml", "retailer", 3, 4), "zh")
    checks = (
        CheckResult("version", "source", "ok", "SQL Server {version}, {edition}.", values=(("version", "11"), ("edition", "x"))),
    )
    yield doctor.doctor_document(DoctorResult(checks), "zh")
    draft = Draft((DraftFile("a.toml", ""),), (SourceTable("crm", "dbo", "A"),), (SourceTable("crm", "dbo", "B"),))
    yield draft_mapping.draft_document(draft, Path("/tmp/x"), "zh")


def comparisons() -> Iterator[Document]:
    hows = ("NULL against empty text", "cut short", "only accents", "whole hours: a time zone?", "other member")
    notes = (
        "",
        NO_MEMBER_ID,
        FROM_TWO_ROWS,
        TWICE_ON_TARGET,
        "The mapping refuses it, and it is not in quarantine: too_long (name)",
    )
    changes = tuple(ColumnChange("name", "王***", "李***", how) for how in hows)
    differences = tuple(Difference("member", kind, "1", "member/crm", "1", changes, "2", note) for kind in Kind for note in notes)
    counts = dict.fromkeys(Kind, 1)
    table = TableResult("member", 9, 9, 9, 3, 1, counts, differences, 1, ("synced_at",), 1.0, 5)
    note = "This target cannot show one instant to several connections: they may be milliseconds apart."
    compared = ReconcileResult((table,), TIME, note, 6, 1, 0.1)
    clean = ReconcileResult((replace(table, counts={}, differences=()),), TIME, "", 0, 0)
    for result in (compared, clean, replace(clean, in_quarantine=2)):
        yield reconcile.reconcile_document(result, "zh")
    repair = TableRepair("member", 1, 1, 1, 1, 1, 1, 1, 1)
    for executed, after in ((True, clean), (False, None)):
        yield reconcile_repair.repair_document(RepairResult(executed, (repair,), compared, after, 0), "zh")
    rules = load_invariants(load_mapping(MappingSettings()))
    titles = [*(one.title for one in rules.sums), *(one.title for one in rules.rules), *(one.title for one in rules.orphans)]
    rows = tuple(InvariantRow("S001", "1", "2", "0", verdict) for verdict in InvariantVerdict)
    found = tuple(InvariantResult("n", title, InvariantVerdict.DIFFERS, "1", "2", ("total",), rows, 5, 1, 1) for title in titles)
    yield reconcile_invariants.invariants_document(InvariantsResult(found, TIME, TIME, failed=True), "zh")


def schemas() -> Iterator[Document]:
    tables = (TableRows("m", "member", 3),)
    for direction in ("up", "down"):
        for executed in (True, False):
            change = SchemaChange(direction, "0001", "0002", ("0002",), executed, "", tables)
            yield schema.change_document(change, "zh")
    drift = tuple(Drift("member", kind, "x", "int", "") for kind in ("table", "column", "key", "index"))
    yield schema.status_document(SchemaStatus("TiDB 8.5", "m", "s", "0001", "0002", ("0002",), tables, drift), "zh")
    yield schema.status_document(SchemaStatus("TiDB 8.5", "m", "s", None, "0002", ("0001",), tables, ()), "zh")


def sandboxes() -> Iterator[Document]:
    server = Endpoint("legacy", "127.0.0.1", 1, 2, "11.0")
    state = Sandbox(Path("/tmp/s"), Path("/tmp/s/m.toml"), server, server, {"crm.dbo.Member": 3}, 3, 7, True, NOTICE)
    for shown in (state, replace(state, already_running=True, complete_journey=False), replace(state, legacy=None, target=None)):
        yield sandbox.sandbox_document(shown, "zh")
        yield sandbox.stopped_document(shown, "zh", purged=True)
        yield sandbox.stopped_document(shown, "zh", purged=False)


def dedupes() -> Iterator[Document]:
    yield from dedupe_documents.documents("zh")


def syncs() -> Iterator[Document]:
    yield from sync_documents.documents("zh")


def kept() -> Iterator[Document]:
    yield from kept_documents.documents("zh")


def told_releases() -> Iterator[Document]:
    yield from timeline_documents.documents("zh")


def releases() -> Iterator[Document]:
    yield from command_documents.documents("zh")


def drills() -> Iterator[Document]:
    """The list, what a drill ends with, and the one in production."""
    yield drill.drills_document(DRILLS.values(), "zh")
    proof = Proof(9, 8, 1, 1, 1, {"consent_lost": 1}, 2, 3, 4)
    story = (Told(1.0, "", {}),)
    for one in DRILLS.values():
        for how, seen, found in (
            ("rolled back", 3.0, proof),
            ("held", None, replace(proof, lost=0, doubled=0, wrong={}, differing=0)),
        ):
            answered = Answered("held" if how == "held" else "rolled back", 9.0, seen, "")
            done = DrillResult(
                one.name, one.what, one.expect, 6, answered, found, 5.0, 6.0, 1, 99.0, "TiDB 8.5", story, (("drain", 2.0),)
            )
            yield drill.drill_document(done, "zh")
    yield drill.returned_document(Returned(("S1",), 5.0, 6.0, 4.0), "zh")


def load_tests() -> Iterator[Document]:
    """A plan, each verdict, and what is left."""
    yield from loadtest_documents.documents("zh")


KINDS = (
    loads, files, stages, mappings, others, comparisons, schemas, sandboxes, dedupes, syncs, kept, told_releases, releases,
    drills, load_tests,
)  # fmt: skip


def texts(document: Document) -> Iterator[str]:
    """Everything a reader sees."""
    yield from (document.title, document.verdict.text, *document.next_steps)
    for figure in document.figures:
        yield from (figure.label, str(figure.value), figure.note)
    for table in document.tables:
        yield from (table.title, table.note, *table.columns)
        yield from (str(cell) for row in table.rows for cell in row)
    for chart in document.charts:
        yield from (chart.title, chart.summary, *(text for _, text in chart.legend))
        yield from (text for lane in chart.lanes for text in (lane.label, *(span.title for span in lane.spans)))


def is_english(text: str) -> bool:
    """A sentence of three words or more without a Chinese character; commands, SQL and names are none."""
    bare = COMMAND.sub("", text)
    return not (CHINESE.search(bare) or NO_SENTENCES.match(text) or LIST.match(text)) and len(WORD.findall(bare)) >= 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The table gets no primary key", True),
        ("Run `membershift load`", False),
        ("crm.dbo.Member", False),
        ("Chinese_PRC_CI_AS", False),
        ("表没有 primary key here now", False),
    ],
)
def test_what_counts_as_a_sentence(text: str, expected: bool) -> None:
    assert is_english(text) is expected


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_no_english_sentence_is_left(kind: Callable[[], Iterator[Document]]) -> None:
    left = {(document.title, text) for document in kind() for text in texts(document) if is_english(text)}
    assert not left


def test_every_kind_of_report_is_looked_at() -> None:
    """The demo's report is looked at where the demo runs."""
    others = (dedupe_documents, kept_documents, loadtest_documents, sync_documents, timeline_documents, command_documents)
    files = (__file__, *(str(module.__file__) for module in others))
    source = "".join(Path(file).read_text("utf-8") for file in files)
    made = set()
    for found in pkgutil.iter_modules(reports.documents.__path__):
        module = importlib.import_module(f"reports.documents.{found.name}")
        made |= {f"{found.name}.{name}" for name in vars(module) if name.endswith("_document") and found.name != "demo"
                 and vars(module)[name].__module__ == module.__name__}  # fmt: skip
    assert not {name for name in made if f"{name}(" not in source}

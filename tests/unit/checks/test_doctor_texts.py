"""Doctor's answers: which side a failure is on decides the exit code, and every sentence exists in Chinese."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from etl.checks.model import CheckResult, DoctorResult, Side, run_checks
from etl.errors import ExitCode, SourceError
from reports.documents.doctor import doctor_document, name_of, plain_doctor
from reports.text import chinese

ROOT = Path(__file__).resolve().parents[3]


def failed(side: Side) -> CheckResult:
    return CheckResult("version", side, "fail", "{version}", values=(("version", "1"),))


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        ((), ExitCode.DONE),
        (("target",), ExitCode.TARGET),
        (("target", "source"), ExitCode.SOURCE),
        (("target", "source", "here"), ExitCode.CONFIGURATION),
    ],
)
def test_exit_code(sides: tuple[Side, ...], expected: ExitCode) -> None:
    warning = CheckResult("clock", "source", "warn", "late")
    assert DoctorResult((warning, *map(failed, sides))).exit_code == expected


def test_a_check_that_breaks_stops_no_other() -> None:
    def breaks() -> list[CheckResult]:
        raise SourceError("gone", "look for it")

    answers = list(run_checks("source", [("version", breaks), ("clock", lambda: [CheckResult("clock", "source", "ok", "On.")])]))
    assert [(one.name, one.status, one.found_text, one.remedy_text) for one in answers] == [
        ("version", "fail", "gone", "look for it"),
        ("clock", "ok", "On.", ""),
    ]


def test_json_has_whole_sentences() -> None:
    check = CheckResult(
        "rights on m", "target", "fail", "Missing: {missing}.", "Run: GRANT {missing} ON x", (("missing", "SELECT"),)
    )
    (plain,) = plain_doctor(DoctorResult((check,)), "en")["checks"]
    assert (plain["found"], plain["remedy"]) == ("Missing: SELECT.", "Run: GRANT SELECT ON x")


def test_every_sentence_of_a_check_exists_in_chinese() -> None:
    missing = sorted(sentences() - chinese().keys())
    assert not missing
    assert len(sentences()) > 60


def sentences() -> set[str]:
    """What etl/checks gives to CheckResult as name, found or remedy, directly or through a variable of such a name."""
    found: set[str] = set()
    for path in (ROOT / "etl" / "checks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "CheckResult":
                parts = [argument for at, argument in enumerate(node.args) if at in (0, 3, 4)]
                found |= {one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str)}
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                found |= assigned(node)
    return found - {""}


def assigned(node: ast.Assign | ast.AnnAssign) -> set[str]:
    """Texts given to variables called found or remedy."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [part for target in targets for part in (target.elts if isinstance(target, ast.Tuple) else [target])]
    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    return {
        value.value
        for name, value in zip(names, values, strict=False)
        if isinstance(name, ast.Name) and name.id in ("found", "remedy", "TELL_NTP", "INSTALL")
        if isinstance(value, ast.Constant) and isinstance(value.value, str)
    }


def test_names_keep_the_object_they_speak_of() -> None:
    assert name_of("snapshot isolation of crm", "zh") == "crm 的快照隔离"
    assert name_of("right SELECT in crm.dbo", "zh") == "crm.dbo 中的 SELECT 权限"


def test_failures_show_their_remedy_and_successes_none() -> None:
    ok = CheckResult("clock", "source", "ok", "Held.", "Do something")
    document = doctor_document(DoctorResult((ok, failed("target"))), "en")
    assert [table.title for table in document.tables] == ["Source", "Target"]
    assert document.tables[0].rows[0][3] == ""
    assert document.verdict.status == "bad"

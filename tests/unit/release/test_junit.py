"""The JUnit file of the critical tests: what is not a whole, recent file of passed tests does not open the gate."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from migrations.release.figures import Verdict
from migrations.release.gates.critical_tests import check_critical_tests
from migrations.release.gates.junit import BadJUnit, read_junit
from migrations.release.plan_gates import CriticalTestsGate

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
GOOD = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="0" skipped="0" tests="2" time="0.1"
timestamp="2026-11-23T11:00:00+00:00"><testcase classname="t" name="test_pay" time="0.01" />
<testcase classname="t" name="test_redeem"><system-out>failure error skipped</system-out></testcase>
</testsuite></testsuites>"""
BOMB = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
OUTSIDE = '<!DOCTYPE l SYSTEM "file:///etc/passwd"><testsuite><testcase name="a"/></testsuite>'
GATE = CriticalTestsGate()


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    """A good file, written an hour before NOW."""
    path = tmp_path / "critical.xml"
    write(path, GOOD)
    return path


def write(path: Path, text: str, at: datetime = NOW - timedelta(hours=1)) -> None:
    """A file with its time."""
    path.write_text(text, "utf-8")
    os.utime(path, (at.timestamp(), at.timestamp()))


def with_outcome(inner: str) -> str:
    """The good file, in which the second test had another outcome."""
    return GOOD.replace("<system-out>failure error skipped</system-out>", inner)


def test_all_passed(junit: Path) -> None:
    answer = check_critical_tests(GATE, junit, 5, NOW)
    assert (answer.verdict, answer.figure, answer.age_s, answer.remedy) == (Verdict.PASS, 1.0, 3600, "")


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ('<failure message="x">trace</failure>', "failed: 1"),
        ("<error/>", "failed: 1"),
        ("<skipped/>", "skipped: 1"),
        ("<skipped/><failure/>", "failed: 1"),
        ("<failure/><error/>", "failed: 1"),
    ],
)
def test_one_that_did_not_pass_closes_the_gate(junit: Path, inner: str, said: str) -> None:
    """What a bug would cost: stores moved with the test of redeeming points switched off."""
    write(junit, with_outcome(inner))
    answer = check_critical_tests(GATE, junit, 5, NOW)
    assert (answer.verdict, answer.figure) == (Verdict.FAIL, 0.5)
    assert said in answer.evidence
    assert "test_redeem" in answer.evidence
    assert str(junit) in answer.remedy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not well-formed"),
        (GOOD[:-30], "not well-formed"),
        (GOOD + "<more/>", "not well-formed"),
        ("<html></html>", "<html>"),
        ("<testsuites/>", "no test at all"),
        ('<testsuite tests="0"/>', "no test at all"),
        (GOOD.replace('tests="2"', 'tests="3"'), "3 tests, and holds 2"),
        (GOOD.replace('tests="2"', 'tests="two"'), "not as a number"),
        (BOMB, "document type"),
        (OUTSIDE, "document type"),
        ("<testsuite>" * 200, "nested too deeply"),
        ('<?xml version="1.0" encoding="utf-77"?><testsuite/>', "critical.xml cannot be used"),
        ("<testsuite><testcase><testcase/></testcase></testsuite>", "within a test"),
    ],
)
def test_a_file_that_says_nothing_is_unknown(junit: Path, text: str, said: str) -> None:
    """What a bug would cost: a run that was cut short counts as one in which all passed."""
    write(junit, text)
    answer = check_critical_tests(GATE, junit, 5, NOW)
    assert (answer.verdict, answer.figure) == (Verdict.UNKNOWN, None)
    assert said in answer.evidence


@pytest.mark.parametrize(
    ("age", "verdict"),
    [
        (timedelta(hours=24), Verdict.PASS),
        (timedelta(hours=24, seconds=1), Verdict.UNKNOWN),
        (timedelta(seconds=-6), Verdict.UNKNOWN),
    ],
)
def test_the_file_is_recent(junit: Path, age: timedelta, verdict: Verdict) -> None:
    write(junit, GOOD.replace("2026-11-23T11:00:00+00:00", ""), NOW - age)
    assert check_critical_tests(GATE, junit, 5, NOW).verdict is verdict


@pytest.mark.parametrize(
    ("stamp", "verdict"),
    [
        ("2026-11-21T11:00:00+00:00", Verdict.UNKNOWN),  # copied today, run the day before yesterday
        ("2026-11-24T11:00:00+00:00", Verdict.UNKNOWN),  # tomorrow
        ("2026-11-23T19:30:00+08:00", Verdict.PASS),
        ("2026-11-21T11:00:00", Verdict.PASS),  # no zone: it says nothing, the file's own time counts
        ("yesterday", Verdict.PASS),
    ],
)
def test_a_copy_is_as_old_as_the_run(junit: Path, stamp: str, verdict: Verdict) -> None:
    write(junit, GOOD.replace("2026-11-23T11:00:00+00:00", stamp))
    assert check_critical_tests(GATE, junit, 5, NOW).verdict is verdict


def test_no_file(tmp_path: Path) -> None:
    assert check_critical_tests(GATE, None, 5, NOW).verdict is Verdict.UNKNOWN
    assert check_critical_tests(GATE, tmp_path / "none.xml", 5, NOW).verdict is Verdict.UNKNOWN
    assert check_critical_tests(GATE, tmp_path, 5, NOW).verdict is Verdict.UNKNOWN


def test_entities_are_not_expanded() -> None:
    """A billion laughs: it has to be refused before the memory of the controller is gone."""
    levels = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "ha">{levels}]><testsuite><testcase name="&e11;"/></testsuite>'
    began = time.monotonic()
    with pytest.raises(BadJUnit, match="document type"):
        read_junit(bomb.encode())
    assert time.monotonic() - began < 5


def test_a_file_of_a_real_pytest_run(tmp_path: Path) -> None:
    """The file that pytest itself writes is understood."""
    from subprocess import run
    from sys import executable

    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.mark.skip\ndef test_c(): pass\n", "utf-8"
    )
    command = [
        executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "--junitxml",
        "out.xml",
        "test_it.py",
    ]
    run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    counts = read_junit((tmp_path / "out.xml").read_bytes())
    assert (counts.total, counts.failed, counts.skipped, counts.passed, counts.first) == (3, 1, 1, 1, "test_b")

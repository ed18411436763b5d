"""Read a JUnit XML file: how many tests there are, and how many of them passed. A hostile or damaged file is refused.

expat is asked directly: a document type, in which entities that grow without end or name other files would be declared, ends the
reading before anything of it is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from xml.parsers import expat

MOST_BYTES: Final = 50 * 2**20
MOST_NESTED: Final = 100
NOT_PASSED: Final = frozenset({"failure", "error", "skipped"})
TESTED: Final = ("testsuite", "testsuites")


class BadJUnit(Exception):
    """What is wrong with the file."""


@dataclass(frozen=True)
class TestCounts:
    """`failed` holds errors too. `at`: the oldest time that a suite gives with its zone, None where none does. `first`: the name
    of the first test that did not pass."""

    __test__ = False
    total: int = 0
    failed: int = 0
    skipped: int = 0
    at: datetime | None = None
    first: str = ""

    @property
    def passed(self) -> int:
        """Neither failed nor skipped."""
        return self.total - self.failed - self.skipped


@dataclass
class Suite:
    """A suite while it is read. `declared`: what it says that it holds."""

    declared: int | None
    total: int = 0


@dataclass
class Reader:
    """What was read so far."""

    depth: int = 0
    root: str = ""
    suites: list[Suite] = field(default_factory=list)
    case: str | None = None
    outcome: str = ""
    total: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    at: datetime | None = None
    first: str = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self.depth += 1
        if self.depth > MOST_NESTED:
            raise BadJUnit("its elements are nested too deeply")
        if self.depth == 1:
            self.root = name
            if name not in TESTED:
                raise BadJUnit(f"it begins with <{name[:40]}>, not with <testsuites> or <testsuite>")
        if name in TESTED:
            self.suites.append(Suite(declared(attributes.get("tests"))))
            self.note_time(attributes.get("timestamp"))
        elif name == "testcase":
            if self.case is not None:
                raise BadJUnit("a test stands within a test")
            self.case, self.outcome = attributes.get("name", ""), ""
        elif name in NOT_PASSED and self.case is not None and self.outcome != "failed":
            self.outcome = "skipped" if name == "skipped" else "failed"

    def end(self, name: str) -> None:
        """An element ends."""
        self.depth -= 1
        if name == "testcase":
            self.total += 1
            self.outcomes[self.outcome] = self.outcomes.get(self.outcome, 0) + 1
            if self.outcome and not self.first:
                self.first = self.case or "a test without a name"
            for suite in self.suites:
                suite.total += 1
            self.case = None
        elif name in TESTED:
            suite = self.suites.pop()
            if suite.declared is not None and suite.declared != suite.total:
                raise BadJUnit(f"a suite says that it has {suite.declared} tests, and holds {suite.total}")

    def note_time(self, text: str | None) -> None:
        """The oldest time with a zone: one without says nothing, as servers of tests run in any."""
        try:
            at = datetime.fromisoformat(text) if text else None
        except ValueError:
            return
        if at is not None and at.tzinfo is not None and (self.at is None or at < self.at):
            self.at = at

    def refuse_doctype(self, *_: object) -> None:
        """No tool that writes JUnit files declares a document type."""
        raise BadJUnit("it declares a document type, in which a trap could hide")


def read_junit(content: bytes) -> TestCounts:
    """Count the tests of a file. Raises BadJUnit."""
    if len(content) > MOST_BYTES:
        raise BadJUnit(f"it is larger than {MOST_BYTES // 2**20} MiB")
    reader = Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.EntityDeclHandler = reader.refuse_doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise BadJUnit(f"it is not well-formed XML (line {error.lineno})") from error
    except (ValueError, LookupError) as error:
        raise BadJUnit("it is in an encoding that is not known") from error
    return TestCounts(
        reader.total, reader.outcomes.get("failed", 0), reader.outcomes.get("skipped", 0), reader.at, reader.first[:120]
    )


def declared(text: str | None) -> int | None:
    """How many tests a suite says that it has; None where it says nothing."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise BadJUnit("a suite says how many tests it has, but not as a number") from error

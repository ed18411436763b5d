"""What a check answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from etl.errors import ExitCode, OpsError

Side = Literal["here", "source", "target"]
Status = Literal["ok", "warn", "fail"]
Values = tuple[tuple[str, str], ...]

EXIT_OF_SIDE: Final = {"here": ExitCode.CONFIGURATION, "source": ExitCode.SOURCE, "target": ExitCode.TARGET}


@dataclass(frozen=True)
class CheckResult:
    """One answer. `found` says what is, `remedy` what to do when that is not ok; {names} in both are filled from `values`."""

    name: str
    side: Side
    status: Status
    found: str
    remedy: str = ""
    values: Values = ()

    @property
    def found_text(self) -> str:
        """`found` with its values, in English."""
        return self.found.format(**dict(self.values)) if self.values else self.found

    @property
    def remedy_text(self) -> str:
        """`remedy` with its values, in English."""
        return self.remedy.format(**dict(self.values)) if self.values else self.remedy


@dataclass(frozen=True)
class DoctorResult:
    """All answers, in the order they were asked for."""

    checks: tuple[CheckResult, ...]

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """What must be put right."""
        return tuple(check for check in self.checks if check.status == "fail")

    @property
    def exit_code(self) -> ExitCode:
        """By the side of the first failure, this machine before the source before the target; done when nothing failed."""
        failed = {check.side for check in self.failures}
        return next((code for side, code in EXIT_OF_SIDE.items() if side in failed), ExitCode.DONE)


Check = Callable[[], Iterable[CheckResult]]


def run_checks(side: Side, checks: Iterable[tuple[str, Check]]) -> Iterator[CheckResult]:
    """Run checks one after the other; one that cannot be carried out is a failure of its own and stops no other."""
    for name, check in checks:
        try:
            yield from check()
        except OpsError as error:
            yield from_error(name, side, error)


def from_error(name: str, side: Side, error: OpsError) -> CheckResult:
    """A check that ended in an error."""
    return CheckResult(name, side, "fail", "{error}", "{remedy}", (("error", error.message), ("remedy", error.remedy)))

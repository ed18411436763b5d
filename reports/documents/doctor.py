"""What doctor found, as a document: failures first, each with its remedy."""

from __future__ import annotations

from typing import Any

from etl.checks.model import CheckResult, DoctorResult
from reports.document import Document, Table, Verdict
from reports.text import told, tr

STATUS = {"ok": "ok", "warn": "warn", "fail": "bad"}
SIDES = {"here": "This machine", "source": "Source", "target": "Target"}


def doctor_document(result: DoctorResult, lang: str) -> Document:
    """One table for each side, in the order the checks were made."""
    return Document(
        title=tr(lang, "Doctor"),
        verdict=verdict_of(result, lang),
        tables=tuple(table for side in SIDES if (table := side_table(result, side, lang)) is not None),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: DoctorResult, lang: str) -> Verdict:
    """Ready, ready with warnings, or not."""
    warnings = sum(check.status == "warn" for check in result.checks)
    if result.failures:
        text = tr(lang, "{failed} checks failed, {warned} need attention.", failed=len(result.failures), warned=warnings)
        return Verdict("bad", text)
    if warnings:
        return Verdict("warn", tr(lang, "Ready to work; {warned} checks need attention.", warned=warnings))
    return Verdict("ok", tr(lang, "Everything is ready."))


def side_table(result: DoctorResult, side: str, lang: str) -> Table | None:
    """The checks of one side, None when there are none."""
    rows = tuple(check_row(check, lang) for check in result.checks if check.side == side)
    if not rows:
        return None
    columns = ("", tr(lang, "Check"), tr(lang, "Found"), tr(lang, "Remedy"))
    return Table(tr(lang, SIDES[side]), columns, rows, status_column=0)


def check_row(check: CheckResult, lang: str) -> tuple[object, ...]:
    """One check in words."""
    values = {name: told(lang, value) for name, value in check.values}
    remedy = "" if check.status == "ok" or not check.remedy else tr(lang, check.remedy, **values)
    return STATUS[check.status], name_of(check.name, lang), tr(lang, check.found, **values), remedy


def name_of(name: str, lang: str) -> str:
    """A check's name; what follows the last "of", "on" or "in" names an object and stays as it is.

    >>> name_of("snapshot isolation of crm", "en")
    'snapshot isolation of crm'
    """
    for word in (" of ", " on ", " in "):
        head, found, thing = name.rpartition(word)
        if found:
            return tr(lang, head + word + "{thing}", thing=thing)
    return tr(lang, name)


def next_steps(result: DoctorResult, lang: str) -> tuple[str, ...]:
    """What to do now."""
    if result.failures:
        return (tr(lang, "Put right what failed, then run `membershift doctor` again."),)
    return (tr(lang, "Run `membershift assess` to see what is in the legacy databases."),)


def plain_doctor(result: DoctorResult, lang: str) -> dict[str, Any]:
    """For --json: the same sentences, filled in."""
    return {
        "exit_code": int(result.exit_code),
        "checks": [
            {
                "name": check.name,
                "side": check.side,
                "status": check.status,
                "found": tr(lang, check.found, **dict(check.values)),
                "remedy": tr(lang, check.remedy, **dict(check.values)) if check.status != "ok" else "",
            }
            for check in result.checks
        ],
    }

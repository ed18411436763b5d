"""The audit log and its proof, as documents."""

from __future__ import annotations

import json

from migrations.audit.export import Exported
from migrations.audit.verify import Verified
from migrations.audit.view import AuditedCommand, AuditLog
from reports.document import Document, Figure, Status, Table, Verdict
from reports.text import tr


def log_document(log: AuditLog, lang: str) -> Document:
    """Who did what, the newest first."""
    return Document(
        title=tr(lang, "Audit log"),
        verdict=log_verdict(log, lang),
        figures=head_figures(None if log.head is None else log.head.text, lang),
        tables=(command_table(log, lang),) if log.shown else (),
        next_steps=log_steps(log, lang),
        lang=lang,
    )


def log_verdict(log: AuditLog, lang: str) -> Verdict:
    """How many there are, and whether one of them never ended."""
    if not log.commands:
        return Verdict("ok", tr(lang, "No command has changed anything yet."))
    if log.unended:
        text = tr(lang, "{count} of {all} commands began and did not end: they still run, or were killed.", **counts(log))
        return Verdict("warn", text)
    return Verdict("ok", tr(lang, "{all} commands changed something; all have ended.", **counts(log)))


def counts(log: AuditLog) -> dict[str, object]:
    """What the verdict counts."""
    return {"count": log.unended, "all": log.commands}


def command_table(log: AuditLog, lang: str) -> Table:
    """A row for each command."""
    columns = ("", "Number", "Began (UTC)", "User", "Role", "Command", "Arguments", "Exit code", "Result")
    names = {
        "": "",
        "Number": tr(lang, "Number"),
        "Began (UTC)": tr(lang, "Began (UTC)"),
        "User": tr(lang, "User"),
        "Role": tr(lang, "Role"),
        "Command": tr(lang, "Command"),
        "Arguments": tr(lang, "Arguments"),
        "Exit code": tr(lang, "Exit code"),
        "Result": tr(lang, "Result"),
    }
    note = (
        "" if len(log.shown) == log.matching else tr(lang, "{shown} of {all} are shown.", shown=len(log.shown), all=log.matching)
    )
    return Table(
        title=tr(lang, "Commands"),
        columns=tuple(names[column] for column in columns),
        rows=tuple(command_row(command, lang) for command in log.shown),
        note=note,
        status_column=0,
    )


def command_row(command: AuditedCommand, lang: str) -> tuple[object, ...]:
    """One command."""
    ended = command.ended_at is not None
    return (
        status_of(command),
        str(command.number),
        command.began_at[:19].replace("T", " "),
        command.user,
        ", ".join(command.roles),
        command.command,
        arguments_text(command),
        command.exit_code,
        command.result if ended else tr(lang, "Not ended"),
    )


def status_of(command: AuditedCommand) -> Status:
    """Done; ended with a question or a refusal; failed or never ended."""
    if command.exit_code is None:
        return "warn"
    return "ok" if command.exit_code == 0 else "warn" if command.exit_code in (6, 7, 130) else "bad"


def arguments_text(command: AuditedCommand) -> str:
    """name=value, as given."""
    values = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in command.arguments.items()
    }
    return " ".join(f"{name}={value}" for name, value in values.items())


def log_steps(log: AuditLog, lang: str) -> tuple[str, ...]:
    """Keep the head."""
    if log.head is None:
        return ()
    return (
        tr(
            lang,
            "Keep the head on another machine: `membershift audit verify --head HEAD` then shows whether anything was cut off.",
        ),
    )


def head_figures(head: str | None, lang: str) -> tuple[Figure, ...]:
    """The newest entry."""
    return () if head is None else (Figure(tr(lang, "Head"), head),)


def verified_document(found: Verified, lang: str) -> Document:
    """Whether the log is as it was written."""
    figures = [Figure(tr(lang, "Entries that hold together"), found.entries)]
    if found.unended:
        figures.append(Figure(tr(lang, "Begun, not ended"), ", ".join(map(str, found.unended))))
    return Document(
        title=tr(lang, "Proof of the audit log"),
        verdict=verified_verdict(found, lang),
        figures=(*figures, *head_figures(None if found.head is None else found.head.text, lang)),
        next_steps=verified_steps(found, lang),
        lang=lang,
    )


def verified_verdict(found: Verified, lang: str) -> Verdict:
    """Sound, or what is wrong and where."""
    values = {"number": found.first_bad}
    match found.fault:
        case None if found.compared:
            return Verdict("ok", tr(lang, "The log is as it was written, and reaches the head that was kept."))
        case None:
            return Verdict("ok", tr(lang, "The log is as it was written."))
        case "edited":
            return Verdict("bad", tr(lang, "Entry {number} was edited.", **values))
        case "removed":
            return Verdict("bad", tr(lang, "Entry {number} was removed.", **values))
        case "not in order":
            return Verdict("bad", tr(lang, "The entries are not in order from entry {number} on.", **values))
        case "does not follow":
            text = tr(
                lang, "Entry {number} does not follow from the one before: one of both was put in or written anew.", **values
            )
            return Verdict("bad", text)
        case "unreadable":
            return Verdict("bad", tr(lang, "Entry {number} cannot be read.", **values))
        case "cut off":
            return Verdict("bad", tr(lang, "The log was cut off: entry {number} and what came after it is gone.", **values))
        case "rewritten":
            return Verdict(
                "bad", tr(lang, "Entry {number}, or one before it, was written anew: it is not the head that was kept.", **values)
            )


def verified_steps(found: Verified, lang: str) -> tuple[str, ...]:
    """What to do about it."""
    if not found.sound:
        return (
            tr(lang, "Keep a copy of state.db as it is, with its -wal file."),
            tr(lang, "Compare it with the newest export: `membershift audit verify --file FILE`."),
        )
    if not found.compared and found.head is not None:
        return (tr(lang, "Entries cut off at the end only show against a head kept elsewhere: --head."),)
    return ()


def exported_document(result: Exported, lang: str) -> Document:
    """What was written where."""
    figures = (Figure(tr(lang, "File"), result.path), *head_figures(None if result.head is None else result.head.text, lang))
    return Document(
        title=tr(lang, "Audit log: export"),
        verdict=Verdict("ok", tr(lang, "{entries} entries were written.", entries=result.entries)),
        figures=figures,
        next_steps=(tr(lang, "Prove it anywhere: `membershift audit verify --file FILE`."),),
        lang=lang,
    )

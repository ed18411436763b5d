"""What sync start prepared, as a document."""

from __future__ import annotations

from etl.sync.start import StartResult
from reports.document import Document, Figure, Table, Verdict, human_duration
from reports.documents.sync_texts import way_text
from reports.text import tr


def start_document(result: StartResult, lang: str) -> Document:
    """What was prepared, or would be."""
    return Document(
        title=tr(lang, "Sync: start"),
        verdict=verdict_of(result, lang),
        figures=figures(result, lang),
        tables=(*positions_table(result, lang), *rows_table(result, lang), *grants(result, lang), *legacy_tables(result, lang)),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: StartResult, lang: str) -> Verdict:
    """One sentence on what happened."""
    if not result.executed:
        if result.nothing:
            return Verdict("ok", tr(lang, "Both sides are prepared: there is nothing left to do but let sync run."))
        if result.grants:
            return Verdict(
                "bad", tr(lang, "Nothing was changed. The login of the source may not write back: a start would be refused.")
            )
        return Verdict("warn", tr(lang, "Nothing was changed. This is what would be prepared."))
    return Verdict("ok", tr(lang, "Both sides are prepared, and sync may run."))


def figures(result: StartResult, lang: str) -> tuple[Figure, ...]:
    """How much there was to do."""
    shown = [
        Figure(tr(lang, "Legacy tables followed"), len(result.positions)),
        Figure(tr(lang, "Of these known before"), len(result.known)),
    ]
    if result.blind:
        why = tr(lang, "no right to see sys.database_recovery_status: whoever restores one runs `membershift sync resync`")
        shown.append(Figure(tr(lang, "Databases that do not tell when they are restored"), ", ".join(result.blind), why))
    if result.executed:
        shown += [
            Figure(tr(lang, "Rows noted as in step"), sum(result.in_step.values())),
            Figure(tr(lang, "Rows whose common values were noted"), sum(result.bases.values())),
            Figure(tr(lang, "Took"), human_duration(result.seconds)),
        ]
    return tuple(shown)


def positions_table(result: StartResult, lang: str) -> tuple[Table, ...]:
    """From where each legacy table is followed, and how."""
    columns = (tr(lang, "Legacy table"), tr(lang, "From version"), tr(lang, "Changes are told by"))
    rows = tuple((table, version, way_text(result.ways.get(table, ""), lang)) for table, version in result.positions.items())
    note = tr(lang, "The version is the one that stage noted before it read the first row.")
    return (Table(tr(lang, "Forward begins at"), columns, rows, note),) if rows else ()


def rows_table(result: StartResult, lang: str) -> tuple[Table, ...]:
    """Rows that were noted, by target table."""
    names = tuple(dict.fromkeys((*result.in_step, *result.bases)))
    columns = (tr(lang, "Target table"), tr(lang, "Noted as in step"), tr(lang, "Common values noted"))
    rows = tuple((name, result.in_step.get(name), result.bases.get(name)) for name in names)
    return (Table(tr(lang, "Rows noted"), columns, rows),) if any(count for _, *counts in rows for count in counts) else ()


def legacy_tables(result: StartResult, lang: str) -> tuple[Table, ...]:
    """The T-SQL of our tables, whole: a DBA may want to run it."""
    if not result.legacy_tables:
        return ()
    title = tr(lang, "Created on the legacy side") if result.executed else tr(lang, "To be created on the legacy side")
    return (Table(title, ("T-SQL",), tuple((statement,) for statement in result.legacy_tables)),)


def grants(result: StartResult, lang: str) -> tuple[Table, ...]:
    """Rights that are missing, as the statements that give them."""
    if not result.grants:
        return ()
    return (
        Table(tr(lang, "Rights that are missing on the legacy side"), ("T-SQL",), tuple((grant,) for grant in result.grants)),
    )


def next_steps(result: StartResult, lang: str) -> tuple[str, ...]:
    """What to do next."""
    if result.executed or result.nothing:
        return (
            tr(lang, "Run `membershift sync run`, or its unit under systemd (docs/sync.md)."),
            tr(lang, "Look at it from anywhere: `membershift sync status`."),
        )
    steps = [tr(lang, "Have a DBA run the GRANT statements above first.")] if result.grants else []
    steps.append(tr(lang, "Run `membershift sync start --execute`."))
    if result.legacy_tables:
        steps.append(tr(lang, "Where the login may not create tables, have a DBA run the T-SQL above first."))
    return tuple(steps)

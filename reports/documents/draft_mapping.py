"""What a drafted mapping holds."""

from __future__ import annotations

from pathlib import Path

from etl.assess.draft_mapping import Draft
from reports.document import Document, Figure, Table, Verdict
from reports.text import tr


def draft_document(draft: Draft, folder: Path, lang: str) -> Document:
    """The files written, the tables left out, and how to go on."""
    keyless = tuple((str(table),) for table in draft.keyless)
    left_out = (Table(tr(lang, "Tables without a key, left out"), (tr(lang, "Table"),), keyless),) if keyless else ()
    return Document(
        title=tr(lang, "Draft mapping"),
        verdict=Verdict("ok", tr(lang, "A draft for {count} tables is in {folder}.", count=len(draft.tables), folder=folder)),
        figures=(Figure(tr(lang, "Files"), len(draft.files)),),
        tables=left_out,
        next_steps=(
            tr(lang, "Read every file: names, types and personal marks were guessed from the declarations."),
            tr(lang, "Apply tables.sql to the target, and set [mapping] path to {folder}.", folder=folder),
            tr(lang, "Run `membershift config check`, then `membershift assess` again: it tries the mapping on the data."),
        ),
        lang=lang,
    )

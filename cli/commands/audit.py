"""membershift audit: who changed what, when, and how it ended; and whether that record was tampered with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Html, Json, lang_of, settings_of

audit = typer.Typer(no_args_is_help=True)

KeptHead = Annotated[
    str | None,
    typer.Option("--head", metavar="NUMBER:HASH", help="A head kept elsewhere: shows what was cut off since."),
]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        audit,
        name="audit",
        rich_help_panel=panel,
        help="See who changed what, and prove that nobody changed the record. Example: membershift audit verify",
    )


@audit.command()
def log(
    context: typer.Context,
    command: Annotated[str, typer.Option("--command", metavar="WORDS", help='Only commands that begin so: "sync".')] = "",
    user: Annotated[str, typer.Option("--user", help="Only those of this user.")] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Only from this time on (UTC): 2026-11-01.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """List the commands that changed something: who, when, with what, and how they ended. Secrets are masked.

    The head at the end proves, if you keep it on another machine, that nothing was cut off since.

    Example: membershift audit log --command sync --since 2026-11-01
    """
    from cli.output import show
    from migrations.audit.view import AuditQuery, read_audit
    from reports.documents.audit import log_document

    result = read_audit(settings_of(context).state_dir, AuditQuery(command, user, since, limit))
    show(log_document(result, lang_of(context)), result, as_json=as_json, html=html)


@audit.command()
def verify(
    context: typer.Context,
    head: KeptHead = None,
    file: Annotated[
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help="Check this export instead of the log itself.")
    ] = None,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Find any edit, removal, insertion or reordering, and name the first entry that is not as it was written.

    Exit code 6 when something is wrong.

    Example: membershift audit verify --head 41:9f2c...
    """
    from cli.output import show
    from etl.errors import ExitCode
    from migrations.audit.entry import parse_head
    from migrations.audit.verify import verify_audit, verify_export
    from reports.documents.audit import verified_document

    kept = None if head is None else parse_head(head)
    result = verify_audit(settings_of(context).state_dir, kept) if file is None else verify_export(file, kept)
    show(verified_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if not result.sound:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@audit.command()
def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where to write it.")],
    as_json: Json = False,
) -> None:
    """Write the log as JSON lines, for a store that nobody on this machine can change. It stays as it is.

    Example: membershift audit export audit.jsonl
    """
    from cli.output import show
    from migrations.audit.export import export_audit
    from reports.documents.audit import exported_document

    result = export_audit(settings_of(context).state_dir, path)
    show(exported_document(result, lang_of(context)), result, as_json=as_json)

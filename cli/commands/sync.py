"""membershift sync: keep both databases in step, both ways, until the last store has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.sync_kept import conflicts, dead_letters
from cli.commands.sync_proofs import add_proofs
from cli.options import Execute, Html, Json, lang_of, settings_of

if TYPE_CHECKING:
    from etl.sync.state import State

sync = typer.Typer(no_args_is_help=True)
sync.add_typer(
    conflicts, name="conflicts", help="Rows that both sides changed. Example: membershift sync conflicts list --table member"
)
sync.add_typer(
    dead_letters, name="dead-letters", help="Rows that could not be carried over. Example: membershift sync dead-letters list"
)

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who asks. Default: the user of this machine.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        sync, name="sync", rich_help_panel=panel, help="Keep both sides in step, both ways. Example: membershift sync run"
    )


@sync.command()
def start(context: typer.Context, by: By = None, execute: Execute = False, html: Html = None, as_json: Json = False) -> None:
    """Prepare both sides: note from where changes are followed, and what both sides have in common now. Safe to repeat.

    Two small tables of ours go into each legacy database that is written back to. Without --execute their T-SQL is shown, for a
    DBA to read or run, and nothing is changed.

    Example: membershift sync start --execute
    """
    from cli.output import progress, show
    from etl.dedupe.answers import who_is_asked
    from etl.sync.start import start_sync
    from reports.documents.sync_start import start_document

    settings = settings_of(context)
    with progress(as_json) as shown:
        result = start_sync(settings, execute=execute, by_whom=who_is_asked(by), progress=shown)
    show(start_document(result, lang_of(context)), result, as_json=as_json, html=html)


@sync.command()
def run(
    context: typer.Context,
    until_quiet: Annotated[bool, typer.Option("--until-quiet", help="End once nothing is left to do on either side.")] = False,
    seconds: Annotated[float | None, typer.Option("--for", metavar="SECONDS", min=0, help="End after this long.")] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="HOST:PORT", help="Serve Prometheus metrics at this address.")
    ] = None,
    metrics_anywhere: Annotated[
        bool, typer.Option("--metrics-anywhere", help="Allow --metrics at an address that other machines reach.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the changes of each side to the other, until `sync stop` or Ctrl-C. It may be killed at any time.

    A terminal shows lag, rates and what is waiting; elsewhere, as under systemd, a line is written every 10 seconds.

    Example: membershift sync run --metrics 127.0.0.1:9187
    """
    from cli.output import show
    from cli.sync_run import run_in_foreground
    from etl.sync.metrics_server import parse_address
    from etl.sync.run import RunRequest
    from reports.documents.sync_run import run_document

    address = None if metrics is None else parse_address(metrics, anywhere=metrics_anywhere)
    lang = lang_of(context)
    ended = run_in_foreground(settings_of(context), RunRequest(until_quiet, seconds), address, lang, quiet=as_json)
    show(run_document(ended, lang), ended, as_json=as_json)


@sync.command()
def status(context: typer.Context, html: Html = None, as_json: Json = False) -> None:
    """Show whether a process is running, how far each direction is, and what waits for a person. From any machine.

    Exit code 6 when something needs a person: no process although there should be one, a stream that is stuck, changes that the
    source has forgotten, open conflicts or dead letters.

    Example: membershift sync status
    """
    from cli.output import show
    from etl.errors import ExitCode
    from etl.sync.status import read_status
    from reports.documents.sync_status import status_document

    result = read_status(settings_of(context))
    show(status_document(result, lang_of(context)), result, as_json=as_json, html=html)
    if result.needs_person:
        raise typer.Exit(int(ExitCode.DIFFERENCES))


@sync.command()
def pause(context: typer.Context, by: By = None, as_json: Json = False) -> None:
    """Let the running process rest: it stays, and carries nothing over until `sync resume`. Nothing is lost meanwhile.

    Example: membershift sync pause
    """
    ask(context, "paused", by, as_json=as_json)


@sync.command()
def resume(context: typer.Context, by: By = None, as_json: Json = False) -> None:
    """Go on after `sync pause`, or allow `sync run` again after `sync stop`.

    Example: membershift sync resume
    """
    ask(context, "running", by, as_json=as_json)


@sync.command()
def stop(context: typer.Context, by: By = None, as_json: Json = False) -> None:
    """End the running process after the round it is in; `sync run` refuses to begin until `sync resume`. Nothing is lost.

    Example: membershift sync stop
    """
    ask(context, "stopped", by, as_json=as_json)


def ask(context: typer.Context, wanted: State, by: str | None, *, as_json: bool) -> None:
    """Ask the running process for something, and tell whether it took notice."""
    from cli.output import show
    from etl.dedupe.answers import who_is_asked
    from etl.sync.control import ask_sync
    from reports.documents.sync_control import asked_document

    result = ask_sync(settings_of(context), wanted, who_is_asked(by))
    show(asked_document(result, lang_of(context)), result, as_json=as_json)


add_proofs(sync)

"""The one place where commands that change something are noted in the audit log.

A command is wrapped where it is registered. Whether it changes anything is known once its arguments are read: those that only
look cost nothing. What cannot be noted is not done.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

if TYPE_CHECKING:
    from etl.settings import Settings

LOOKING: Final = frozenset(
    {
        "alerts list",
        "assess",
        "audit",
        "config",
        "dedupe explain",
        "dedupe model compare",
        "dedupe model show",
        "dedupe plan",
        "dedupe report",
        "dedupe status",
        "demo",
        "doctor",
        "drill list",
        "load rejects list",
        "loadtest plan",
        "mapping",
        "reconcile invariants",
        "reconcile rows",
        "release check",
        "release history",
        "release plan",
        "release report",
        "release routes",
        "release status",
        "release watch",
        "sandbox",
        "schema sql",
        "schema status",
        "snapshot list",
        "stage status",
        "sync conflicts list",
        "sync conflicts show",
        "sync dead-letters list",
        "sync drain",
        "sync mark",
        "sync status",
        "sync verify",
    }
)
"""Commands, or groups of them, that change nothing, or have nothing to do with a configuration. Those that have --execute or
--publish change something with it. All others are noted: one that nobody thought of is noted rather than forgotten."""


def audit_commands(app: typer.Typer) -> None:
    """Wrap every command of `app`, at any depth."""
    for command in app.registered_commands:
        if command.callback is not None:
            command.callback = audited(command.callback)
    for group in app.registered_groups:
        inner = group.typer_instance
        if inner is None:
            continue
        if inner.registered_callback is not None and inner.registered_callback.callback is not None:
            inner.registered_callback.callback = audited(inner.registered_callback.callback)
        audit_commands(inner)


def audited(callback: Callable[..., Any]) -> Callable[..., Any]:
    """The same command, noted before and after when it changes something. It is known by its `context`, which every command has
    that reads the configuration."""

    @functools.wraps(callback)
    def wrapped(**options: Any) -> Any:
        context: typer.Context | None = options.get("context")
        if context is None or not changes(context):
            return callback(**options)
        return noted(context, lambda: callback(**options))

    return wrapped


def changes(context: typer.Context) -> bool:
    """Whether this call changes anything; the callback of a group counts only when no command of it was named."""
    if context.invoked_subcommand is not None or context.resilient_parsing:
        return False
    if context.params.get("sandbox"):  # a private one: nothing that anybody has to answer for
        return False
    doing = [name for name in ("execute", "publish") if name in context.params]
    if doing:
        return any(context.params[name] for name in doing)
    return not only_looks(words_of(context))


def only_looks(words: str) -> bool:
    """Whether a command, or a group that it is in, is one of LOOKING.

    >>> only_looks("config show"), only_looks("sync status"), only_looks("sync stop"), only_looks("stage")
    (True, True, False, False)
    """
    parts = words.split()
    return any(" ".join(parts[:length]) in LOOKING for length in range(1, len(parts) + 1))


def words_of(context: typer.Context) -> str:
    """The command without the name of the program: "sync start"."""
    return " ".join(context.command_path.split()[1:])


def noted(context: typer.Context, run: Callable[[], Any]) -> Any:
    """Note the begin, run, note the end. Raises ConfigurationError, before anything is changed, if it cannot be noted."""
    from cli.options import settings_of
    from migrations.audit.arguments import masked_arguments, secrets_of
    from migrations.audit.log import record_begin
    from migrations.audit.who import actor_here

    settings = settings_of(context)
    secrets = tuple(secrets_of(settings))
    number = record_begin(
        settings.state_dir, actor_here(settings.roles), words_of(context), masked_arguments(given(context), secrets)
    )
    return told(settings, number, run)


def told(settings: Settings, number: int, run: Callable[[], Any]) -> Any:
    """Run, and note how it ended: as the command line is about to say it."""
    from cli.errors import describe_bug
    from cli.output import last_verdict
    from etl.errors import ExitCode, OpsError

    code, result = int(ExitCode.BUG), "ended in an unknown way"
    last_verdict.set("")
    try:
        returned = run()
        code, result = int(ExitCode.DONE), last_verdict.get() or "done"
        return returned
    except typer.Exit as asked:
        code, result = asked.exit_code, last_verdict.get() or "done"
        raise
    except OpsError as error:
        code, result = int(error.exit_code), error.message
        raise
    except (KeyboardInterrupt, typer.Abort):
        code, result = int(ExitCode.INTERRUPTED), "interrupted"
        raise
    except BrokenPipeError:
        code, result = int(ExitCode.DONE), "done; nobody read what it printed"
        raise
    except Exception as error:
        code, result = usage_or_bug(error, describe_bug(error).message)
        raise
    finally:
        note_end(settings.state_dir, number, code, result)


def usage_or_bug(error: Exception, bug: str) -> tuple[int, str]:
    """A wrong argument is no bug; its own text may repeat what was typed, and is left out."""
    from etl.errors import ExitCode

    if hasattr(error, "show") and hasattr(error, "exit_code"):
        return int(ExitCode.USAGE), "wrong usage"
    return int(ExitCode.BUG), bug


def note_end(state_dir: Path, number: int, code: int, result: str) -> None:
    """The command is over, whatever comes of this: its exit code stays its own."""
    from cli.output import show_note
    from etl.errors import OpsError
    from migrations.audit.arguments import masked_text
    from migrations.audit.log import record_end

    try:
        record_end(state_dir, number, code, masked_text(result))
    except OpsError as error:
        show_note(f"The end of this command is missing in the audit log. {error.message} {error.remedy}")


def given(context: typer.Context) -> dict[str, object]:
    """The options and arguments that were given on the line or in the environment, not those left at their defaults."""
    return {
        name: value
        for name, value in context.params.items()
        if getattr(context.get_parameter_source(name), "name", "") in ("COMMANDLINE", "ENVIRONMENT")
    }

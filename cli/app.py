"""The program: the story in order, the global options, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import commands
from cli.audit_hook import audit_commands
from cli.options import Globals
from cli.story import StoryGroup

app = typer.Typer(
    name="membershift",
    cls=StoryGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit: 0 done · 1 bug · 2 usage · 3 configuration · 4 source · 5 target · 6 differences · 7 refused · 130 interrupted",
)
commands.add_to(app)
audit_commands(app)
StoryGroup.story = commands.ORDER

# Flags that may stand anywhere on the line, and whether they take a value.
GLOBAL_FLAGS = {"--config": True, "-c": True, "--lang": True, "--version": False}


def show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from importlib import metadata

        from cli.output import show_text

        show_text(f"membershift {metadata.version('membershift')}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Configuration file. Default: membershift.toml here.", dir_okay=False)
    ] = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of reports: en or zh.", envvar="MEMBERSHIFT_LANG")] = "en",
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Move a retailer's members from SQL Server to TiDB, store by store, and back again, with nothing lost.

    The story, in order: assess → schema → stage → dedupe → load → reconcile → sync → loadtest → release. Commands that change
    data only say what they would do until they are given --execute.
    """
    if lang not in ("en", "zh"):
        raise typer.BadParameter(f"{lang!r} is not a language membershift speaks: use en or zh.", param_hint="--lang")
    context.obj = Globals(config=config, lang=lang)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code that says how it ended."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code. Errors people can meet are printed once, with their remedy."""
    from etl.errors import ExitCode, OpsError

    as_json = "--json" in arguments
    try:
        result = app(args=global_flags_first(arguments), prog_name="membershift", standalone_mode=False)
    except OpsError as error:
        from cli.output import show_error

        show_error(error, as_json=as_json)
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return told_interrupted()
    except BrokenPipeError:
        # The reader of our output went away (`membershift ... | head`); nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug must not print a traceback with data in it
        return show_bug_or_usage(error)
    if result == ExitCode.INTERRUPTED:  # typer makes an exit code of Ctrl-C itself
        return told_interrupted()
    return result if isinstance(result, int) else int(ExitCode.DONE)


def told_interrupted() -> int:
    """Say that nothing is lost; the exit code of an interrupt."""
    from cli.output import show_note
    from etl.errors import ExitCode

    show_note("Interrupted. Finished work is kept; the same command goes on from here.")
    return int(ExitCode.INTERRUPTED)


def show_bug_or_usage(error: Exception) -> int:
    """A usage error prints click's own message; anything else is our bug and is told without the values involved."""
    from etl.errors import ExitCode

    show = getattr(error, "show", None)
    if show is not None and hasattr(error, "exit_code"):
        show()
        return int(ExitCode.USAGE)
    if os.environ.get("MEMBERSHIFT_DEBUG"):
        raise error
    from cli.errors import describe_bug
    from cli.output import show_error

    show_error(describe_bug(error), as_json="--json" in sys.argv)
    return int(ExitCode.BUG)


def global_flags_first(arguments: list[str]) -> list[str]:
    """Move global flags before the command, so that they may be written anywhere.

    >>> global_flags_first(["stage", "--config", "a.toml", "--json"])
    ['--config', 'a.toml', 'stage', '--json']
    """
    first: list[str] = []
    rest: list[str] = []
    pending = iter(arguments)
    for argument in pending:
        name = argument.split("=", 1)[0]
        if argument == "--":
            rest += [argument, *pending]
        elif name in GLOBAL_FLAGS:
            first.append(argument)
            if GLOBAL_FLAGS[name] and "=" not in argument:
                first += [value for value in (next(pending, None),) if value is not None]
        else:
            rest.append(argument)
    return first + rest

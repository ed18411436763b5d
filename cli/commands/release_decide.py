"""membershift release approve, promote, pause, resume and force: what people decide while a release is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Json, lang_of, settings_of
from cli.release_options import PlanFile, plan_of

if TYPE_CHECKING:
    from migrations.release.decisions import Decided


def add_decisions(release: typer.Typer) -> None:
    """Put these commands into `release`."""
    release.command()(approve)
    release.command()(promote)
    release.command()(pause)
    release.command()(resume)
    release.command()(force)


def approve(
    context: typer.Context,
    wave: Annotated[int | None, typer.Option("--wave", min=1, help="Default: the next wave.")] = None,
    plan_file: PlanFile = None,
    as_json: Json = False,
) -> None:
    """Agree that a wave begins. Each person counts once, by the user that the system knows; the plan's roles say who may.

    Example: membershift release approve --wave 2
    """
    from migrations.release.decisions import approve_wave

    settings = settings_of(context)
    told(context, approve_wave(settings, plan_of(settings, plan_file), None if wave is None else wave - 1), as_json=as_json)


def promote(context: typer.Context, plan_file: PlanFile = None, as_json: Json = False) -> None:
    """Say that the wave under way is through, so that the next may begin. Says which gates are missing where it is not.

    A wave whose plan says so is promoted by itself; then this only makes it sooner than the controller's next look.

    Example: membershift release promote
    """
    from migrations.release.decisions import promote_wave

    settings = settings_of(context)
    told(context, promote_wave(settings, plan_of(settings, plan_file)), as_json=as_json)


def pause(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who come after.")] = "",
    plan_file: PlanFile = None,
    as_json: Json = False,
) -> None:
    """Begin no new switch. One under way is finished; stores that moved are watched on, and go back if a trigger says so.

    Example: membershift release pause --reason "a till in S003 is being replaced"
    """
    from migrations.release.decisions import pause_release

    settings = settings_of(context)
    told(context, pause_release(settings, plan_of(settings, plan_file), reason), as_json=as_json)


def resume(context: typer.Context, plan_file: PlanFile = None, as_json: Json = False) -> None:
    """Go on after `release pause`, or after a switch that failed and paused the release.

    Example: membershift release resume
    """
    from migrations.release.decisions import resume_release

    settings = settings_of(context)
    told(context, resume_release(settings, plan_of(settings, plan_file)), as_json=as_json)


def force(
    context: typer.Context,
    gate: Annotated[str, typer.Argument(metavar="GATE", help="A gate of `release check`; or windows, or bake.")],
    reason: Annotated[str, typer.Option("--reason", help="Why. It stands in every report from now on.")],
    plan_file: PlanFile = None,
    as_json: Json = False,
) -> None:
    """Overrule a gate for the rest of the release. It counts as passed, keeps its verdict, and is shown for ever after.

    `windows` and `bake` stand for what a wave proves beside the gates: windows passed in a row, and time. Overruling them lets
    a person promote with `release promote`; nothing is promoted by itself for it.

    Example: membershift release force training --reason "the list of staff comes on Monday"
    """
    from migrations.release.decisions import force_gate

    settings = settings_of(context)
    told(context, force_gate(settings, plan_of(settings, plan_file), gate, reason), as_json=as_json)


def told(context: typer.Context, decided: Decided, *, as_json: bool) -> None:
    """Say what was decided, and what happens next."""
    from cli.output import show
    from reports.documents.release_decided import decided_document

    result = {
        "decided": decided.what,
        "by": decided.by,
        "phase": decided.state.phase,
        "wave": None if decided.wave is None else decided.wave + 1,
        "about": decided.about,
        "holder": decided.holder,
    }
    show(decided_document(decided, lang_of(context)), result, as_json=as_json)

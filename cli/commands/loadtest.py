"""membershift loadtest: load the target as double eleven would, and say whether it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Execute, Html, Json, lang_of, settings_of

if TYPE_CHECKING:
    from etl.settings import Settings
    from loadtest.plans import Plan

loadtest = typer.Typer(no_args_is_help=True)

Rate = Annotated[float, typer.Option(min=1, max=1_000_000, help="Transactions a second that the target has to hold.")]
Mix = Annotated[str, typer.Option("--mix", help="everyday, double-eleven, flash-coupon or enrolment.")]
Steady = Annotated[int, typer.Option("--steady", min=1, max=86_400, help="Seconds at that rate.")]
Burst = Annotated[int, typer.Option("--burst", min=0, max=86_400, help="Seconds of the burst that follows.")]
Times = Annotated[float, typer.Option("--burst-times", min=1, max=100, help="How many times the rate a burst is.")]
WarmUp = Annotated[int, typer.Option("--warm-up", min=0, max=3_600, help="Seconds up to the rate; they are not judged.")]
After = Annotated[int, typer.Option("--after", min=0, max=86_400, help="Seconds at the rate after the burst.")]
Members = Annotated[int, typer.Option("--members", min=10, max=10_000_000, help="Members of the test's own.")]
P95 = Annotated[float, typer.Option("--p95-ms", min=0.1, help="Longest 95th percentile of response times, outside the burst.")]
P99 = Annotated[float, typer.Option("--p99-ms", min=0.1, help="Longest 99th percentile, outside the burst.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed asks the same.")]


def add_to(app: typer.Typer, panel: str) -> None:
    """Put these commands into `app` under `panel` of its help."""
    app.add_typer(
        loadtest,
        name="loadtest",
        rich_help_panel=panel,
        help="Load the target as double eleven would. Example: membershift loadtest run --rate 2000",
    )


@loadtest.command("plan")
def plan_it(
    context: typer.Context,
    rate: Rate = 2_000,
    mix: Mix = "double-eleven",
    steady: Steady = 600,
    burst: Burst = 180,
    burst_times: Times = 4.0,
    warm_up: WarmUp = 60,
    after: After = 120,
    members: Members = 20_000,
    p95_ms: P95 = 200,
    p99_ms: P99 = 500,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Say what a load test would ask of the target, and for how long. Nothing is sent.

    Example: membershift loadtest plan --rate 500 --steady 60
    """
    from dataclasses import asdict

    from cli.output import show
    from reports.documents.loadtest import plan_document

    plan = planned(rate, mix, steady, burst, burst_times, warm_up, after, p95_ms, p99_ms, seed)
    show(plan_document(plan, members, lang_of(context)), asdict(plan), as_json=as_json)


@loadtest.command("run")
def run_it(
    context: typer.Context,
    rate: Rate = 2_000,
    mix: Mix = "double-eleven",
    steady: Steady = 600,
    burst: Burst = 180,
    burst_times: Times = 4.0,
    warm_up: WarmUp = 60,
    after: After = 120,
    members: Members = 20_000,
    coupons: Annotated[int, typer.Option(min=0, help="How many there are of the scarce coupon.")] = 10_000,
    p95_ms: P95 = 200,
    p99_ms: P99 = 500,
    seed: Seed = 1,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Processes that ask.")] = 1,
    threads: Annotated[int, typer.Option(min=1, max=2_000, help="Connections of each process.")] = 64,
    results: Annotated[
        Path | None, typer.Option(help="Folder for each second's figures. Default: in the state folder.", file_okay=False)
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the rows of the test where they are.")] = False,
    html: Html = None,
    as_json: Json = False,
) -> None:
    """Ask as much as the plan says, whatever the target answers, and say whether it held.

    Only a target with `loadtest = true` under [target], and only while no store sells on it. The test has members of its own; its
    rows are taken away at the end. Exit code 6 when a goal was missed, 7 when the test says nothing about the target.

    Example: membershift loadtest run --rate 500 --steady 60 --burst 20
    """
    from cli.loadtest_run import run_in_foreground
    from cli.output import show
    from etl.errors import ExitCode
    from loadtest.run import RunRequest, summary_of
    from loadtest.verdict import Verdict
    from reports.documents.loadtest import result_document

    settings = settings_of(context)
    plan = planned(rate, mix, steady, burst, burst_times, warm_up, after, p95_ms, p99_ms, seed)
    folder = results or settings.state_dir / "loadtest"
    request = RunRequest(plan, folder, members, coupons, processes, threads, live_stores(settings), keep=keep)
    result = run_in_foreground(settings, request)
    show(result_document(result, lang_of(context)), summary_of(result), as_json=as_json, html=html)
    codes = {Verdict.PASS: ExitCode.DONE, Verdict.FAIL: ExitCode.DIFFERENCES, Verdict.VOID: ExitCode.REFUSED}
    raise typer.Exit(int(codes[result.judgement.verdict]))


@loadtest.command("clean")
def clean_up(context: typer.Context, execute: Execute = False, as_json: Json = False) -> None:
    """Delete the rows of load tests that were killed before they could do it themselves.

    Example: membershift loadtest clean --execute
    """
    from cli.output import show
    from etl.target.connect import connect_bulk
    from loadtest.data import clean, left_over
    from reports.documents.loadtest import cleaned_document

    with connect_bulk(settings_of(context).target) as target:
        there = left_over(target)
        rows = clean(target) if execute else int(there)
    result = {"executed": execute, "there": there, "deleted": rows if execute else 0}
    show(cleaned_document(rows, lang_of(context), executed=execute), result, as_json=as_json)


def planned(
    rate: float,
    mix: str,
    steady: int,
    burst: int,
    times: float,
    warm_up: int,
    after: int,
    p95_ms: float,
    p99_ms: float,
    seed: int,
) -> Plan:
    """The plan that the options make. Raises UsageError."""
    from etl.errors import UsageError
    from loadtest.plans import Targets, double_eleven
    from loadtest.retail import MIXES

    if mix not in MIXES:
        raise UsageError(f"There is no mix {mix!r}.", f"There are: {', '.join(MIXES)}.")
    return double_eleven(
        rate, mix=mix, steady_s=steady, burst_s=burst, warm_up_s=warm_up, after_s=after, burst_times=times,
        targets=Targets(p95_ms=p95_ms, p99_ms=p99_ms), seed=seed,
    )  # fmt: skip


def live_stores(settings: Settings) -> tuple[str, ...]:
    """Stores that a release of this configuration has on the target."""
    from etl.state_db import STATE_DB
    from migrations.release.event_log import open_event_log
    from migrations.release.model import Route

    if not (settings.state_dir / STATE_DB).exists():
        return ()
    with open_event_log(settings.state_dir) as log:
        return tuple(sorted(log.state.on(Route.TIDB, Route.FENCED, Route.COMPLETE)))

"""membershift load: staged rows become rows of the target, each exactly once or in quarantine with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from etl.errors import RefusedError
from etl.load.as_is import create_indexes, create_table, plan_as_is, prepare_as_is, preview_as_is
from etl.load.canary import check_canary
from etl.load.loader import Loader, open_loader
from etl.load.lock import hold_load_lock
from etl.load.model import CanaryResult, LoadRequest, LoadResult
from etl.load.prepare import Prepared, prepare_load
from etl.load.preview import preview_load
from etl.load.work import canary_work, only_pending, pending_work
from etl.progress import Progress
from etl.settings import Settings


def run_load(settings: Settings, request: LoadRequest, progress: Progress) -> LoadResult:
    """Load the stage into the target; without `request.execute` only say what that would do. Goes on where an earlier run
    stopped.

    Raises RefusedError when a check before the load fails or a canary exceeds the error limit, and TargetError when the
    target stays away.
    """
    if request.as_is is not None:
        return run_as_is(settings, request, progress)
    if not request.execute:
        with prepare_load(settings, request.tables, accept_mapping=request.accept_mapping) as prepared:
            return preview_load(prepared)
    with (
        hold_load_lock(settings) as lock,
        prepare_load(settings, request.tables, accept_mapping=request.accept_mapping) as prepared,
    ):
        return load_prepared(prepared, request.canary, lock.keep, progress)


def run_as_is(settings: Settings, request: LoadRequest, progress: Progress) -> LoadResult:
    """Move a table that no mapping speaks of: create it as the source declares it, load it, then add its other indexes."""
    plan = plan_as_is(settings, request)
    if not request.execute:
        return preview_as_is(settings, plan)
    with hold_load_lock(settings) as lock:
        create_table(settings, plan)
        with prepare_as_is(settings, plan) as prepared:
            result = load_prepared(prepared, None, lock.keep, progress)
        notes = create_indexes(settings, plan) if request.indexes else ()
    return replace(result, statements=plan.statements, notes=(*plan.notes, *notes))


def load_prepared(prepared: Prepared, canary: float | None, keep_alive: Callable[[], None], progress: Progress) -> LoadResult:
    """The canary, when asked for, then everything that is not settled, in load order."""
    began = time.monotonic()
    with open_loader(prepared, "load", keep_alive, progress) as loader:
        checked = load_canary(prepared, loader, canary) if canary else None
        for part in prepared.parts:
            loader.plan_members(part)
            loader.load(part, pending_work(part, loader.covered(part)))
            loader.forget_planned(part)
    return LoadResult(
        executed=True,
        tables=tuple(loader.table_load(part) for part in prepared.parts),
        seconds=time.monotonic() - began,
        run_id=loader.run_id,
        canary=checked,
        notes=prepared.notes,
    )


def load_canary(prepared: Prepared, loader: Loader, share: float) -> CanaryResult:
    """Load a share of each part, spread over all of it, and read it back. Raises RefusedError when too much of it is wrong.

    Rows of the canary find members that come later by their planned ids, but none that the mapping refuses: they would belong
    to nobody once everything is loaded.
    """
    batch_rows = prepared.settings.load.batch_rows
    with loader.accepted_only() as restrict:
        for part in prepared.parts:
            loader.plan_members(part)
            loader.load(part, only_pending(canary_work(part, share, batch_rows), loader.covered(part)))
            restrict(part)
        result = check_canary(prepared, share)
    if not result.passed:
        raise RefusedError(
            f"The canary failed: {result.error_share:.1%} of its rows were rejected or differ, at worst {result.worst:.1%} of a "
            f"table; the limit is {result.limit:.1%}. Nothing beyond the canary was loaded.",
            "See `membershift load rejects list`, correct the mapping or the data, run `membershift load rejects retry "
            "--execute` and load again; or raise [load] error_limit.",
        )
    return result

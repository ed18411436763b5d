"""Cut short while the registry is written: it is the old or the new one, and the same command completes it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from etl.dedupe import exchange
from etl.dedupe.runs import read_dedupe_runs, require_no_half_run
from etl.errors import RefusedError
from etl.settings import DedupeSettings, Settings
from etl.target.bulk import BulkConnection
from tests.integration.dedupe.conftest import empty
from tests.integration.dedupe.test_run import content, dedupe, in_new_tables

Content = dict[str, list[tuple[Any, ...]]]

RUNNER = """
import sys
from pathlib import Path
from etl.settings import Settings
from etl.dedupe.result import DedupeRequest
from etl.progress import Silent
import etl.dedupe.run as run
settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
write = run.write_changes
def told(work, changes):
    print("writing", flush=True)
    return write(work, changes)
run.write_changes = told
run.run_dedupe(settings, DedupeRequest(execute=True, by_whom="test"), Silent())
"""


class Killed(BaseException):
    """Stands for the end of the process where tests stay in theirs: nothing handles it."""


def start(settings: Settings, folder: Path) -> subprocess.Popen[str]:
    """A process of its own that runs it, and says when it begins to write."""
    path = folder / "settings.json"
    dumped = settings.model_dump(mode="json", by_alias=True)
    dumped["source"]["url"] = settings.source.url.get_secret_value()
    dumped["target"]["url"] = settings.target.url.get_secret_value()
    path.write_text(json.dumps(dumped))
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(path)], stdout=subprocess.PIPE, text=True)


def settled(found: Content) -> Content:
    """What counts for whoever reads members."""
    return {table: found[table] for table in ("member_source", "member", "golden_field")}


def kill_while_writing(settings: Settings, target: BulkConnection, folder: Path, whole: Content, wait: float) -> None:
    """Begin on an empty target, kill it `wait` seconds into the writing, look, and let the same command complete it."""
    empty(settings.target)
    with start(settings, folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
    now = settled(content(target))
    assert now in (settled(whole), {table: [] for table in now})
    dedupe(settings)
    assert content(target) == whole


def test_killed_while_writing_it_is_all_or_nothing(settings: Settings, target: BulkConnection, tmp_path: Path) -> None:
    settings = in_new_tables(settings)
    dedupe(settings)

    kill_while_writing(settings, target, tmp_path, content(target), random.Random(3).uniform(0.05, 0.3))


@pytest.mark.proof
@pytest.mark.parametrize("small_write_rows", [0, 200_000], ids=["in new tables", "in one transaction"])
def test_killed_at_twenty_random_moments(
    settings: Settings, target: BulkConnection, tmp_path: Path, small_write_rows: int
) -> None:
    dedupe_settings = DedupeSettings(threads=2, memory_limit_gib=1, small_write_rows=small_write_rows)
    settings = settings.model_copy(update={"dedupe": dedupe_settings})
    dedupe(settings)
    whole, chance = content(target), random.Random(20260101)

    for _ in range(20):
        kill_while_writing(settings, target, tmp_path, whole, chance.uniform(0, 0.6))


STEPS = ("create_new_tables", "fill_new_tables", "check_new_sums", "exchange", "move_dependents", "drop_tables")
MOMENTS = [
    pytest.param(
        step, after, id=f"{'after' if after else 'before'} {step}", marks=() if step == "exchange" else pytest.mark.proof
    )
    for step in STEPS
    for after in (False, True)
]


@pytest.mark.parametrize(("step", "after"), MOMENTS)
def test_cut_short_around_each_step(
    settings: Settings, target: BulkConnection, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    settings = in_new_tables(settings)
    real = getattr(exchange, step)

    def cut(*args: Any, **options: Any) -> Any:
        if step == "drop_tables" and args[2] != exchange.OLD:
            return real(*args, **options)
        if after:
            real(*args, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(exchange, step, cut)
        with pytest.raises(Killed):
            dedupe(settings)
    now = settled(content(target))
    is_new = step in ("move_dependents", "drop_tables") or (step == "exchange" and after)
    assert bool(now["member"]) == bool(now["member_source"]) == is_new
    with pytest.raises(RefusedError, match="cut short"):
        require_no_half_run(target, settings.target.state_schema)
    again = dedupe(settings)

    require_no_half_run(target, settings.target.state_schema)
    assert again.written.nothing == is_new
    assert again.notes
    whole = content(target)
    assert len(whole["member_source"]) == len(whole["merge_event"]) == again.merged_records
    assert len(whole["member"]) == again.merged_members
    statuses = sorted(run.status for run in read_dedupe_runs(target, settings.target.state_schema))
    assert statuses == (["done", "done"] if is_new else ["abandoned", "done"])
    assert target.scalar("SELECT MAX(member_id) FROM member") < 2**32 + again.merged_members  # no second block of ids

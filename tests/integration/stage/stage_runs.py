"""Stages run as programs of their own, to be killed, interrupted or let finish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from etl.settings import Settings
from etl.stage.manifest import open_manifest
from etl.stage.summary import stage_status
from tests.integration.stage.stage_tables import Seeded

LATEST_S = 120.0
"""Nothing here takes so long on the busiest machine."""


def kill_after(settings: Settings, config: Path, *, chunks: int, delay_s: float) -> None:
    """Start a stage, and kill it a moment after `chunks` chunks are done."""
    with start_stage(config) as process:
        try:
            wait_for(settings, chunks=chunks, process=process)
            time.sleep(delay_s)
        finally:
            process.kill()


def finish(settings: Settings, config: Path) -> None:
    """Run a stage to its end."""
    with start_stage(config) as process:
        output, errors = process.communicate(timeout=LATEST_S)
    assert process.returncode == 0, f"exit {process.returncode}: {errors} {output}"
    assert json.loads(output)["verdict_status"] == "ok"
    assert stage_status(settings).complete


def wait_for(settings: Settings, *, chunks: int, process: subprocess.Popen[str] | None = None) -> None:
    """Until so many chunks are done."""
    deadline = time.monotonic() + LATEST_S
    while done_chunks(settings) < chunks or not (settings.stage_dir / "manifest.db").exists():
        if process is not None and process.poll() is not None:
            return
        assert time.monotonic() < deadline
        time.sleep(0.005)


def done_chunks(settings: Settings) -> int:
    """Chunks done so far, over all tables."""
    if not (settings.stage_dir / "manifest.db").exists():
        return 0
    with open_manifest(settings.stage_dir, read_only=True) as manifest:
        return sum(chunk.done for entry in manifest.tables() for chunk in manifest.chunks(entry.name))


def all_done(settings: Settings) -> bool:
    """Whether something is staged and nothing is left."""
    return (settings.stage_dir / "manifest.db").exists() and bool(done_chunks(settings)) and stage_status(settings).complete


def write_config(settings: Settings, seeded: Seeded, *, chunk_rows: int = 1000) -> Path:
    """membershift.toml for a program of its own."""
    path = settings.origin
    path.write_text(
        f"""
[source]
url = {json.dumps(settings.source.url.get_secret_value())}
databases = ["{seeded.database}"]
retries = 1

[target]
url = "mysql://nobody:nothing@127.0.0.1:1"

[stage]
chunk_rows = {chunk_rows}
min_free_disk_gib = 0

[state]
dir = {json.dumps(str(settings.state_dir))}
"""
    )
    path.chmod(0o600)
    return path


def start_stage(config: Path, *more: str) -> subprocess.Popen[str]:
    """membershift stage, as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "stage", "--config", str(config), "--json", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parents[3],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )

"""The matcher on batches of several sizes: milliseconds and memory, as JSON. For bench.dedupe, in a process of its own."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final

import polars as pl

from etl.config_file import read_settings
from etl.dedupe.matcher import open_matcher
from etl.stage.read import open_stage

PART, TABLE, KEY = "member/pos", "pos.dbo.PosMember", "CardNo"
SIZES: Final = (1, 100, 1_000, 5_000)
REPEATS: Final = 3


def main() -> None:
    """Match cards of known people under new numbers."""
    settings = read_settings(Path(sys.argv[1]))
    with open_stage(settings) as stage:
        table = next(table for table in stage.tables() if str(table.name) == TABLE)
        rows = stage.read_chunk(table.chunks[0]).sample(max(SIZES), seed=1)
    cards = rows.with_columns(pl.concat_str(pl.lit("X"), KEY).alias(KEY))
    results: list[tuple[str, float, str]] = []
    began = time.monotonic()
    with open_matcher(settings) as matcher:
        results.append(("matcher, to open it", 1000 * (time.monotonic() - began), "ms"))
        matcher.match(PART, cards.head(1))
        for size in SIZES:
            taken = []
            for _ in range(REPEATS):
                began = time.monotonic()
                matcher.match(PART, cards.head(size))
                taken.append(time.monotonic() - began)
            results.append((f"matcher, a batch of {size:,}", 1000 * min(taken), "ms"))
        results.append(("matcher, memory of its own", memory("RssAnon"), "MiB"))
        results.append(("matcher, memory with mapped pages", memory("VmRSS"), "MiB"))
    print(json.dumps(results))


def memory(kind: str) -> float:
    """Resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


if __name__ == "__main__":
    main()

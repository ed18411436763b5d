"""Deduplication: quality on generated Chinese members and on public sets, time and memory, beside strict rules and Splink alone.

    python -m bench.dedupe [--records 1000000] [--servers] [--json]

Quality is measured on pairs of records, after clustering, against the truth; no set's truth is shown to the model. The steps run
in a process of their own, as does Splink alone (predict and cluster, on the records as we standardised them, with our model).
`--servers` also measures the whole command, from the stage to crosswalk and golden records on the target.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

import polars as pl

from bench.arrivals import stage_arrivals
from bench.dedupe_quality import Quality, public_quality, public_sets, quality_of, strict_clusters
from bench.processes import Measured, measure, membershift
from bench.report import Result, compare, print_results
from etl.config_file import read_settings
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import LegacyData, generate
from fixtures.data.member_frames import COLUMNS, KEY, true_persons
from fixtures.sandbox import sandbox_down, start_legacy, write_config
from fixtures.target import start_target

SEED: Final = 2026
IDS_OF_A_MEMBER: Final = 1.75  # cards and accounts that fixtures.data.generate adds to each CRM member
PUBLIC_GOALS: Final = {("febrl3", True): 0.998, ("febrl4", True): 0.999, ("febrl3", False): 0.995, ("febrl4", False): 0.997}
ARRIVALS: Final = 10_000
STEPS: Final = ("standardise", "train", "link", "cluster")


def main() -> None:
    """Measure everything at one size, and the time at three times that size if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="generated legacy records")
    parser.add_argument("--seed", type=int, default=SEED, help="of the generated records")
    parser.add_argument("--three", action="store_true", help="measure three times as many as well")
    parser.add_argument("--servers", action="store_true", help="measure the whole command, with servers, as well")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membershift-bench-") as folder:
        results = measure_generated(Path(folder), options.records, options.seed, three=options.three)
        results += measure_public(Path(folder) / "public")
        if options.servers:
            results += measure_servers(Path(folder) / "servers", options.records, options.seed)
    print_results(results, as_json=options.json)


def measure_generated(folder: Path, records: int, seed: int, *, three: bool) -> list[Result]:
    """Quality, time and memory on generated members."""
    ours, figures = run_process("ours", folder / "one", records, seed)
    bare, bare_figures = run_process("bare", folder / "one", records, seed)
    found, strict = generated_quality(folder / "one")
    strict_f1 = Result("strict rules, F1", 100 * strict.f1, "%")
    splink = Result("Splink alone: predict and cluster", bare_figures["bare"], "s")
    total = sum(figures[step] for step in STEPS)
    results = [
        Result("precision on pairs", 100 * found.precision, "%", goal=98.5),
        Result("recall on pairs", 100 * found.recall, "%"),
        Result("F1", 100 * found.f1, "%", goal=90.0),
        strict_f1,
        Result("strict rules, precision", 100 * strict.precision, "%"),
        Result("strict rules, surplus ids left", strict.surplus, "% of ids"),
        Result("F1 above strict rules", 100 * (found.f1 - strict.f1), "points", goal=5.0),
        Result("surplus ids left", found.surplus, "% of ids", goal=3.0, goal_is="at most"),
        Result("largest cluster", found.largest, "records", goal=10, goal_is="at most"),
        Result("pairs to review", figures["review"], "pairs"),
        *(Result(step, figures[step], "s") for step in STEPS),
        Result("standardise to cluster", total, "s", goal=45.0, goal_is="at most"),
        splink,
        compare("link and cluster", figures["link"] + figures["cluster"], "s", splink, 1.6, "at most"),
        Result("peak memory", ours.peak_mib, "MiB", goal=3072, goal_is="at most"),
        Result("peak memory of Splink alone", bare.peak_mib, "MiB"),
    ]
    if three:
        _, larger = run_process("ours", folder / "three", 3 * records, seed)
        one = Result("standardise to cluster", total, "s")
        results.append(
            compare("standardise to cluster, 3 x the records", sum(larger[step] for step in STEPS), "s", one, 3.3, "at most")
        )
    return results


def run_process(what: str, folder: Path, records: int, seed: int) -> tuple[Measured, dict[str, float]]:
    """Run bench.dedupe_steps as a process on generated members; what it printed."""
    data = folder / "data"
    if not data.exists():
        generate(round(records / IDS_OF_A_MEMBER), seed, data)
    measured = measure([sys.executable, "-m", "bench.dedupe_steps", what, str(data), str(folder / "out")])
    figures: dict[str, float] = json.loads(measured.output)
    return measured, figures


def generated_quality(folder: Path) -> tuple[Quality, Quality]:
    """Of our clusters, and of strict rules on the same standardised records."""
    records = pl.read_parquet(folder / "out" / "records.parquet")
    numbers = records.select("record", "system", KEY)
    persons = numbers.join(true_persons(folder / "data"), on=["system", KEY], how="left").select("record", "person")
    found = quality_of(pl.read_parquet(folder / "out" / "clusters.parquet"), persons)
    return found, quality_of(strict_clusters(records), persons)


def measure_public(folder: Path) -> list[Result]:
    """F1 on public sets, with and without the number that nearly is an answer."""
    results = []
    sets = public_sets()
    for (name, with_number), goal in PUBLIC_GOALS.items():
        found = public_quality(name, sets[name], folder, with_number=with_number)
        told = name if with_number else f"{name} without soc_sec_id"
        results.append(Result(f"{told}, F1", 100 * found.f1, "%", goal=100 * goal))
    return results


def measure_servers(folder: Path, records: int, seed: int) -> list[Result]:
    """The whole command on staged members: crosswalk and golden records on the target."""
    try:
        legacy = start_legacy(folder, fresh=True)
        data = generate(round(records / IDS_OF_A_MEMBER), seed, folder / "data")
        create_legacy_tables(legacy)
        tables = {table: data.rows[table] for table, _ in COLUMNS.values()}
        fill_legacy(legacy, LegacyData(data.folder, tables))
        write_config(folder, legacy, start_target(folder / "target"))
        settings = read_settings(folder / "membershift.toml")
        membershift(settings.origin, "schema", "up", "--execute")
        for table in tables:
            membershift(settings.origin, "stage", "--table", table)
        run = membershift(settings.origin, "dedupe", "run", "--execute")
        again = membershift(settings.origin, "dedupe", "run", "--since", "last", "--execute")
        stage_arrivals(settings, folder / "arrivals", ARRIVALS, seed + 1)
        arrived = membershift(settings.origin, "dedupe", "run", "--since", "last", "--execute")
        matched = measure([sys.executable, "-m", "bench.match_batches", str(settings.origin)])
    finally:
        sandbox_down(folder, purge=True)
    return [
        Result("dedupe run --execute, whole command", run.seconds, "s", goal=45.0, goal_is="at most"),
        Result("dedupe run --execute, peak memory", run.peak_mib, "MiB", goal=3072, goal_is="at most"),
        Result("dedupe run --since last, nothing new", again.seconds, "s"),
        Result("dedupe run --since last, 10,000 arrivals", arrived.seconds, "s", goal=5.0, goal_is="at most"),
        Result("dedupe run --since last, peak memory", arrived.peak_mib, "MiB"),
        *(Result(name, value, unit) for name, value, unit in json.loads(matched.output)),
    ]


if __name__ == "__main__":
    main()

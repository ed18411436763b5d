"""The move of the 16-column member table: raw reads and writes, our stage, load and whole move, reconcile, memory, and two peers.

    python -m bench.move [--rows 1000000] [--json]

Everything is measured in one run on one machine, servers included, and compared as ratios. Our own figures are whole processes,
start of the interpreter included; the raw ones are not, so the ratios are a little against us.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import polars as pl

from bench.peers import pandas_rate, sling_rate
from bench.processes import Measured, measure, membershift
from bench.raw import connect, drain_both, drain_source, load_files, timed, write_files
from bench.report import Result, compare, print_results
from etl.config_file import read_settings
from etl.names import backtick
from etl.settings import Settings
from etl.target.connect import connect_bulk
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import LegacyData, generate
from fixtures.sandbox import sandbox_down, start_legacy, write_config
from fixtures.target import start_target

PART = "member/crm"
MEMBER = "crm.dbo.Member"
AS_IS = "member_as_is"
Outcome = TypeVar("Outcome")
BARE_TYPER = """
import typer
app = typer.Typer()
for name in ("assess", "load", "reconcile"):
    @app.command(name)
    def command(count: int = 1) -> None:
        "Do it."
app()
"""


def main() -> None:
    """Measure at one size, and the memory at a tenth of it too."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="members of the large run; a tenth of it is the small one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="membershift-bench-") as folder:
        small = run_size(Path(folder) / "small", options.rows // 10, measure_memory)
        results = run_size(Path(folder) / "large", options.rows, lambda settings, rows: measure_all(settings, rows, small))
    print_results([*results, *measure_help()], as_json=options.json)


def run_size(folder: Path, members: int, action: Callable[[Settings, int], Outcome]) -> Outcome:
    """Run `action` on both servers, the legacy one holding `members` generated members; stop them whatever happens."""
    try:
        legacy = start_legacy(folder, fresh=True)
        data = generate(members, 1, folder / "data")
        create_legacy_tables(legacy)
        filled = fill_legacy(legacy, LegacyData(data.folder, {MEMBER: data.rows[MEMBER]}))
        write_config(folder, legacy, start_target(folder / "target"))
        settings = read_settings(folder / "membershift.toml")
        membershift(settings.origin, "schema", "up", "--to", "tables", "--execute")
        return action(settings, filled[MEMBER])
    finally:
        sandbox_down(folder, purge=True)


def measure_memory(settings: Settings, rows: int) -> dict[str, float]:
    """Peak memory of stage, load and reconcile, in MiB."""
    return {name: measured.peak_mib for name, measured in run_commands(settings).items()}


def run_commands(settings: Settings) -> dict[str, Measured]:
    """Stage the member table, load it by its mapping and as it is, and compare it, by our own commands."""
    config = settings.origin
    return {
        "stage": membershift(config, "stage", "--table", MEMBER),
        "load": membershift(config, "load", "--table", PART, "--no-indexes", "--execute"),
        "as-is": membershift(config, "load", "--as-is", MEMBER, "--as", AS_IS, "--no-indexes", "--execute"),
        "reconcile": membershift(config, "reconcile", "rows", "--table", PART, expected=(0, 6)),
    }


def measure_all(settings: Settings, rows: int, small: dict[str, float]) -> list[Result]:
    """All figures of the large run."""
    extract = Result("raw Arrow extract", best_rate(lambda: drain_source(settings)), "rows/s")
    ours = run_commands(settings)
    member_seconds, link_seconds = raw_load_seconds(settings, "member"), raw_load_seconds(settings, "member_source")
    raw_load = Result("raw LOAD DATA of member", rows / member_seconds, "rows/s")
    raw_both = Result("raw LOAD DATA of member and member_source", rows / (member_seconds + link_seconds), "rows/s")
    raw_as_is = Result("raw LOAD DATA of the table as it is", rows / raw_load_seconds(settings, AS_IS), "rows/s")
    member_only = Result("read both sides, member only", drain_seconds(settings, rows, ["member"]), "s")
    all_compared = Result("read both sides, with member_source", drain_seconds(settings, rows, ["member", "member_source"]), "s")
    load, as_is = (rows / ours[name].seconds for name in ("load", "as-is"))
    with_load, with_as_is = (rows / (ours["stage"].seconds + ours[name].seconds) for name in ("load", "as-is"))
    pandas = Result("pandas read_sql, to_sql", pandas_rate(settings, settings.target.schema_name, min(rows, 30_000)), "rows/s")
    sling_value = sling_rate(settings, settings.target.schema_name, min(rows, 100_000))
    peers = [pandas, *([Result("sling", sling_value, "rows/s")] if sling_value else [])]
    faster = max(peers, key=lambda result: result.value)
    return [
        extract,
        raw_as_is,
        raw_load,
        raw_both,
        compare("stage", rows / ours["stage"].seconds, "rows/s", extract, None, "at least"),
        # The table as it is: one row for one, which is what the peers and the raw reference write.
        compare("load --as-is", as_is, "rows/s", slower_of(extract, raw_as_is), 0.85, "at least"),
        compare("stage and load --as-is together", with_as_is, "rows/s", slower_of(extract, raw_as_is), 0.75, "at least"),
        # The mapping: each member with its crosswalk entry, two rows for one.
        compare("load (both tables)", load, "rows/s", slower_of(extract, raw_both), 0.85, "at least"),
        compare("load (both tables)", load, "rows/s", raw_load, None, "at least"),
        compare("stage and load together", with_load, "rows/s", slower_of(extract, raw_both), 0.75, "at least"),
        compare("stage and load together", with_load, "rows/s", raw_load, None, "at least"),
        *peers,
        compare("stage and load --as-is together", with_as_is, "rows/s", faster, 6, "at least"),
        compare("stage and load together", with_load, "rows/s", faster, 6, "at least"),
        member_only,
        all_compared,
        compare("reconcile", ours["reconcile"].seconds, "s", all_compared, 1.3, "at most"),
        compare("reconcile", ours["reconcile"].seconds, "s", member_only, None, "at most"),
        *memory_results(ours, small),
    ]


def memory_results(large: dict[str, Measured], small: dict[str, float]) -> list[Result]:
    """Peak memory against its bound, and against a tenth of the rows."""
    results = []
    for name, measured in large.items():
        results.append(Result(f"{name}: peak memory", measured.peak_mib, "MiB", goal=400, goal_is="at most"))
        tenth = Result(f"{name} of a tenth of the rows", small[name], "MiB")
        results.append(compare(f"{name}: peak memory", measured.peak_mib, "MiB", tenth, 1.1, "at most"))
    return results


def slower_of(*results: Result) -> Result:
    """The one that limits."""
    return min(results, key=lambda result: result.value)


def best_rate(action: Callable[[], int]) -> float:
    """Rows a second: the median of three runs."""
    return median(rows / seconds for rows, seconds in (timed(action) for _ in range(3)))


def drain_seconds(settings: Settings, rows: int, tables: list[str]) -> float:
    """Seconds of only reading the source and these tables. A comparison of members reads their crosswalk entries too: what is
    not read cannot be compared."""
    return rows / best_rate(lambda: drain_both(settings, tables))


def raw_load_seconds(settings: Settings, table: str) -> float:
    """Seconds of LOAD DATA alone: the rows of a loaded table as ready text, into an empty table of the same shape."""
    frame, columns = read_rows(settings, table)
    size = settings.load.batch_rows
    paths = write_files([frame.slice(start, size) for start in range(0, frame.height, size)])
    original = f"{backtick(settings.target.schema_name)}.{backtick(table)}"
    copy = f"{backtick(settings.target.schema_name)}.{backtick(f'{table}_raw')}"
    connection = connect(settings)
    connection.cursor().execute(f"CREATE TABLE {copy} LIKE {original}")
    _, seconds = timed(lambda: load_files(settings, copy, columns, paths, settings.load.connections))
    connection.cursor().execute(f"DROP TABLE {copy}")
    connection.close()
    return seconds


def read_rows(settings: Settings, table: str) -> tuple[pl.DataFrame, list[str]]:
    """A loaded table, typed, and its columns but for those the target keeps itself."""
    with connect_bulk(settings.target) as connection:
        kept = [column for column in connection.columns_of(table) if column.name not in ("updated_at", "synced_at")]
        types: dict[str, pl.DataType] = {column.name: column.polars_type() for column in kept}
        listed = ", ".join(backtick(name) for name in types)
        frames = list(connection.read_frame(f"SELECT {listed} FROM {backtick(table)}", types))
    return pl.concat(frames), list(types)


def measure_help() -> list[Result]:
    """`membershift --help` against the least Typer program, in turn."""
    ours, bare = [], []
    for _ in range(7):
        bare.append(measure([sys.executable, "-c", BARE_TYPER, "--help"]).seconds)
        ours.append(measure([sys.executable, "-m", "cli", "--help"]).seconds)
    reference = Result("bare Typer --help", median(bare), "s")
    return [reference, compare("membershift --help", median(ours), "s", reference, 1.5, "at most")]


if __name__ == "__main__":
    main()

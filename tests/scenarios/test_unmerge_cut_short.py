"""Cut short while persons are taken apart: each is whole or taken apart, never half, and the same command does the rest."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.dedupe import unmerge_write
from etl.dedupe.labels import RecordRef
from etl.dedupe.unmerge import run_unmerge
from etl.dedupe.unmerge_model import UnmergeRequest
from etl.errors import UsageError
from etl.progress import Silent
from etl.settings import Settings
from etl.stage.run import StageRequest, run_stage
from etl.target.connect import connect_bulk
from etl.target.errors import ServerError
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.target import TargetServer
from tests.conftest import drop_schemas
from tests.integration.target.test_lost_connections import end_connection
from tests.merging import member_parts, truth_groups, write_merges
from tests.retailer import retailer_settings
from tests.scenarios.test_unmerge import MEMBER_PARTS, REFERRING, Merged, columns_of, load, proven

Rows = list[tuple[object, ...]]
Found = dict[int, dict[str, Rows]]
STEPS = ("move_entries", "put_members", "put_lineage", "move_rows", "tell", "add_decisions")

RUNNER = """
import sys
from pathlib import Path
from etl.settings import Settings
from etl.dedupe.unmerge_model import UnmergeRequest
from etl.progress import Silent
import etl.dedupe.unmerge as unmerge
settings = Settings.model_validate_json(Path(sys.argv[1]).read_text())
plan = unmerge.plan_members
def told(*arguments):
    planned = plan(*arguments)
    print("writing", flush=True)
    return planned
unmerge.plan_members = told
members = tuple(map(int, sys.argv[2:]))
unmerge.run_unmerge(settings, UnmergeRequest(members=members, execute=True, by_whom="test"), Silent())
"""


@pytest.fixture(scope="module")
def loaded(
    legacy: LegacyServer, retailer: LegacyData, target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Merged]:
    """2,000 members loaded, whoever is one person joined."""
    settings = retailer_settings(legacy, target_server, tmp_path_factory.mktemp("cut"), "cut")
    run_stage(settings, StageRequest(), Silent())
    records = member_parts(settings, MEMBER_PARTS)
    groups = truth_groups(retailer.frame("truth_person"), records)
    write_merges(settings, records, groups)
    load(settings)
    yield Merged(settings, groups, records)
    drop_schemas(settings.target)


def still_merged(merged: Merged, count: int) -> list[int]:
    """Members nobody has taken apart yet."""
    with connect_bulk(merged.settings.target) as connection:
        rows = connection.query(
            "SELECT member_id FROM member_source WHERE linked_by = 'dedupe' GROUP BY member_id HAVING COUNT(*) > 1 ORDER BY 1"
        )
    found = [int(member) for (member,) in rows]
    assert len(found) >= count
    return random.Random(count).sample(found, count)


def state_of(merged: Merged, members: list[int]) -> Found:
    """By member that was: all that its records have on the target now, in every table that unmerge writes."""
    return {member: state_of_person(merged, member) for member in members}


def state_of_person(merged: Merged, member: int) -> dict[str, Rows]:
    """The rows of one person, whoever its records are now."""
    schema, state = merged.settings.target.schema_name, merged.settings.target.state_schema
    records = [row[:2] for row in merged.groups.select("system", "source_id", "member_id").iter_rows() if row[2] == member]
    pairs = ", ".join(["(%s, %s)"] * len(records))
    named = tuple(value for record in records for value in record)
    with connect_bulk(merged.settings.target) as connection:
        entries = connection.query(
            f"SELECT source, source_id, member_id, linked_by FROM member_source WHERE (source, source_id) IN ({pairs})", named
        )
        ids = sorted({member, *(int(row[2]) for row in entries)})
        wanted = ", ".join(map(str, ids))
        found: dict[str, Rows] = {
            "entries": entries,
            "members": connection.query(
                f"SELECT {columns_of(connection, schema, 'member')} FROM member WHERE member_id IN ({wanted})"
            ),
            "lineage": connection.query(f"SELECT * FROM `{state}`.golden_field WHERE member_id IN ({wanted})"),
            "events": connection.query(
                f"SELECT kind, member_id, system, source_id FROM `{state}`.merge_event WHERE (system, source_id) IN ({pairs})",
                named,
            ),
            "decisions": connection.query(
                f"SELECT kind, left_system, left_id, right_system, right_id FROM `{state}`.decision "
                f"WHERE withdrawn_at IS NULL AND (left_system, left_id) IN ({pairs})",
                named,
            ),
        }
        for table, key in REFERRING.items():
            found[table] = connection.query(f"SELECT {key}, member_id FROM {table} WHERE member_id IN ({wanted})")
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def take_apart(merged: Merged, members: list[int]) -> None:
    """The command itself, to its end."""
    request = UnmergeRequest(members=tuple(members), execute=True, by_whom="test")
    assert run_unmerge(merged.settings, request, Silent()).left == 0


def all_or_nothing(before: Found, now: Found, after: Found) -> list[bool]:
    """Whether each person was taken apart; nobody is anything between."""
    for member, was in before.items():
        assert len(was["entries"]) > 1
        assert {row[2] for row in was["entries"]} == {member}
        apart = after[member]
        assert len({row[2] for row in apart["entries"]}) == len(apart["entries"]) == len(was["entries"])
        assert len(apart["decisions"]) == len(apart["entries"]) * (len(apart["entries"]) - 1) // 2
        assert apart["lineage"] == []
        assert now[member] in (was, apart)
    assert any(was["lineage"] for was in before.values())
    assert any(apart["sale"] for apart in after.values())
    return [now[member] == after[member] for member in before]


@pytest.mark.parametrize("step", STEPS)
def test_a_connection_lost_between_two_statements_leaves_the_person_whole(
    loaded: Merged, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    members = still_merged(loaded, 3)
    before = state_of(loaded, members)
    real, calls = getattr(unmerge_write, step), []

    def lost(connection: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(step)
        if len(calls) == 2:
            end_connection(connection)
        return real(connection, *arguments, **options)

    once = loaded.settings.target.model_copy(update={"retries": 0})
    impatient = Merged(loaded.settings.model_copy(update={"target": once}), loaded.groups, loaded.records)
    with monkeypatch.context() as patch:
        patch.setattr(unmerge_write, step, lost)
        with pytest.raises(ServerError):
            take_apart(impatient, members)
    now = state_of(loaded, members)
    take_apart(loaded, members)

    assert all_or_nothing(before, now, state_of(loaded, members)).count(True) == (0 if step == "move_rows" else 1)


def test_what_was_taken_apart_is_not_done_twice(loaded: Merged) -> None:
    first, second = sorted(still_merged(loaded, 2))
    take_apart(loaded, [first])
    before = state_of(loaded, [first])
    request = UnmergeRequest(members=(first, second), execute=True, by_whom="test")

    result = run_unmerge(loaded.settings, request, Silent())
    again = run_unmerge(loaded.settings, request, Silent())

    assert ([one.member_id for one in result.members], result.already) == ([second], (str(first),))
    assert (again.members, again.decisions, again.already) == ((), 0, (str(first), str(second)))
    assert state_of(loaded, [first]) == before
    records = tuple(RecordRef(str(row[0]), str(row[1])) for row in before[first]["entries"])
    assert run_unmerge(loaded.settings, UnmergeRequest(records=records), Silent()).already == tuple(map(str, sorted(records)))
    single = loaded.records.join(loaded.groups, on=["system", "source_id"], how="anti").row(0, named=True)
    with pytest.raises(UsageError, match="is not merged"):
        run_unmerge(loaded.settings, UnmergeRequest(records=(RecordRef(single["system"], single["source_id"]),)), Silent())


def start(settings: Settings, folder: Path, members: list[int]) -> subprocess.Popen[str]:
    """A process of its own that runs it, and says when it begins to write."""
    path = folder / "settings.json"
    dumped = settings.model_dump(mode="json", by_alias=True)
    dumped["source"]["url"] = settings.source.url.get_secret_value()
    dumped["target"]["url"] = settings.target.url.get_secret_value()
    path.write_text(json.dumps(dumped))
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(path), *map(str, members)], stdout=subprocess.PIPE, text=True)


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_killed_at_twenty_random_moments(loaded: Merged, tmp_path: Path) -> None:
    chance, outcomes = random.Random(20260102), []
    for _ in range(20):
        members = still_merged(loaded, 8)
        before = state_of(loaded, members)
        with start(loaded.settings, tmp_path, members) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            time.sleep(chance.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
        now = state_of(loaded, members)
        take_apart(loaded, members)
        outcomes += all_or_nothing(before, now, state_of(loaded, members))

    assert {True, False} <= set(outcomes), "some kills come while it writes"
    proven(loaded.settings)

"""From the stage to one member a person: deduplicated before the load, or after it, both sides agree; and taken apart they do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.dedupe.decisions import Decision, withdraw_decisions, write_decisions
from etl.dedupe.labels import RecordRef
from etl.dedupe.result import DedupeRequest, DedupeResult
from etl.dedupe.run import run_dedupe
from etl.dedupe.unmerge import run_unmerge
from etl.dedupe.unmerge_model import UnmergeRequest
from etl.errors import RefusedError, UsageError
from etl.load.model import LoadRequest, LoadResult
from etl.load.run import run_load
from etl.progress import Silent
from etl.reconcile.repair import RepairRequest, run_repair
from etl.settings import Settings
from etl.stage.run import StageRequest, run_stage
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from fixtures.target import TargetServer
from tests.conftest import drop_schemas
from tests.retailer import retailer_settings
from tests.scenarios.test_unmerge import proven


@pytest.fixture(scope="module")
def staged(
    legacy: LegacyServer, retailer: LegacyData, target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """2,000 members staged, and an empty target."""
    settings = retailer_settings(legacy, target_server, tmp_path_factory.mktemp("story"), "story")
    run_stage(settings, StageRequest(), Silent())
    yield settings
    drop_schemas(settings.target)


@pytest.fixture
def target(staged: Settings) -> Iterator[BulkConnection]:
    """A connection to it."""
    with connect_bulk(staged.target) as connection:
        yield connection


def dedupe(settings: Settings) -> DedupeResult:
    """Deduplicate what is staged."""
    return run_dedupe(settings, DedupeRequest(execute=True, by_whom="test"), Silent())


def load(settings: Settings) -> LoadResult:
    """Load everything."""
    result = run_load(settings, LoadRequest(execute=True), Silent())
    assert result.complete
    return result


def test_deduplicated_before_the_load_both_sides_agree(staged: Settings, target: BulkConnection) -> None:
    merged = dedupe(staged)
    result = load(staged)

    assert result.merged == merged.merged_records > 500
    proven(staged)
    assert dedupe(staged).written.nothing


def events_of(target: BulkConnection, settings: Settings, kind: str) -> int:
    """How many events of a kind."""
    return int(target.scalar(f"SELECT COUNT(*) FROM `{settings.target.state_schema}`.merge_event WHERE kind = %s", (kind,)))


def test_a_whole_person_is_taken_apart(staged: Settings, target: BulkConnection) -> None:
    """Goes on where the story stands: merged and loaded."""
    (member,), *_ = target.query(
        "SELECT member_id FROM member_source WHERE linked_by = 'dedupe' GROUP BY member_id HAVING COUNT(*) > 2 ORDER BY 1 LIMIT 1"
    )
    records = target.scalar("SELECT COUNT(*) FROM member_source WHERE member_id = %s", (member,))

    (told,) = run_unmerge(staged, UnmergeRequest(members=(member,), execute=True, by_whom="test"), Silent()).members

    assert told.done
    assert len(told.groups) == records > 2
    assert not target.scalar("SELECT COUNT(*) FROM member_source WHERE member_id = %s AND linked_by = 'dedupe'", (member,))
    assert events_of(target, staged, "unmerge") == records
    again = dedupe(staged)
    assert (again.written.links, again.to_split) == (0, 0), "joined again across a cannot-link"


def test_what_happened_after_the_merge_is_asked_about(staged: Settings, target: BulkConnection) -> None:
    """Points earned and a phone changed since belong to nobody's record: they stay with who keeps the id, or go where told."""
    first, second = (
        int(row[0])
        for row in target.query(
            "SELECT member_id FROM member_source WHERE linked_by = 'dedupe' GROUP BY member_id "
            "HAVING COUNT(*) = 2 AND SUM(source = 'crm') = 2 ORDER BY member_id LIMIT 2"
        )
    )
    for member in (first, second):
        with target.transaction():
            target.execute(f"UPDATE member SET points = points + 50, phone = '13912345678' WHERE member_id = {member}")
            target.execute(
                "INSERT INTO points_ledger (entry_id, member_id, delta, reason, occurred_at, origin, origin_id) "
                f"VALUES ({2**52 + member}, {member}, 50, 'EVENT', NOW(6), 'app', 'A{member}')"
            )
    asked = run_unmerge(staged, UnmergeRequest(members=(first, second), execute=True), Silent())
    assert (asked.done, asked.left) == (0, 2)
    assert [(one.later, set(one.changed)) for one in asked.members] == [({"points_ledger": 1}, {"points", "phone"})] * 2
    other = next(group.records[0] for group in asked.members[1].groups if group.member_id != second)

    done = run_unmerge(staged, UnmergeRequest(members=(first,), execute=True, keep_later=True), Silent())
    moved = run_unmerge(staged, UnmergeRequest(members=(second,), execute=True, later_to={second: other}), Silent())

    assert (done.done, moved.done) == (1, 1)
    (kept,) = (group.member_id for group in moved.members[0].groups if other in group.records)
    for member, heir in ((first, first), (second, kept)):
        assert target.scalar(f"SELECT member_id FROM points_ledger WHERE entry_id = {2**52 + member}") == heir
        assert target.scalar(f"SELECT phone FROM member WHERE member_id = {heir}") == "13912345678"
        own = target.scalar(f"SELECT SUM(delta) FROM points_ledger WHERE member_id = {heir}")
        assert target.scalar(f"SELECT points FROM member WHERE member_id = {heir}") == own
    with target.transaction():
        target.execute("DELETE FROM points_ledger WHERE origin = 'app'")
    assert run_repair(staged, RepairRequest(("member",), execute=True), Silent()).left == 0
    proven(staged)


def test_what_cannot_be_taken_apart_is_refused(staged: Settings, target: BulkConnection) -> None:
    (single,), *_ = target.query("SELECT member_id FROM member_source WHERE linked_by = 'load' LIMIT 1")
    with pytest.raises(UsageError, match="is not merged"):
        run_unmerge(staged, UnmergeRequest(members=(int(single),)), Silent())
    with pytest.raises(UsageError, match="nobody:1 is not merged"):
        run_unmerge(staged, UnmergeRequest(records=(RecordRef("nobody", "1"),)), Silent())
    with pytest.raises(UsageError, match="Nothing was named"):
        run_unmerge(staged, UnmergeRequest(), Silent())
    with target.transaction():
        target.execute("UPDATE member_source SET linked_by = 'dedupe' WHERE member_id = %s", (single,))
        target.execute(
            "INSERT INTO member_source (source, source_id, member_id, valid_from, linked_by) "
            "VALUES ('pos', 'FROM-A-FILE', %s, NOW(6), 'dedupe')",
            (single,),
        )
    try:
        with pytest.raises(RefusedError, match="not in the stage"):
            run_unmerge(staged, UnmergeRequest(records=(RecordRef("pos", "FROM-A-FILE"),)), Silent())
    finally:
        with target.transaction():
            target.execute("DELETE FROM member_source WHERE source_id = 'FROM-A-FILE'")
            target.execute("UPDATE member_source SET linked_by = 'load' WHERE member_id = %s", (single,))


def test_what_decisions_forbid_changes_nothing(staged: Settings, target: BulkConnection) -> None:
    """Two records that a chain of must-links holds together: the whole of the member's transaction is undone."""
    (member,), *_ = target.query("SELECT member_id FROM member_source WHERE linked_by = 'dedupe' ORDER BY member_id DESC LIMIT 1")
    entries = f"SELECT source, source_id, linked_by FROM member_source WHERE member_id = {member} ORDER BY 1, 2"
    before = target.query(entries)
    left, right = (RecordRef(str(source), str(source_id)) for source, source_id, _ in before[:2])
    between = RecordRef("pos", "SOMEBODY")
    chain = [Decision("must_link", min(one, between), max(one, between), "test") for one in (left, right)]
    written = write_decisions(staged, chain)
    events = events_of(target, staged, "unmerge")

    with pytest.raises(RefusedError, match="SOMEBODY"):
        run_unmerge(staged, UnmergeRequest(members=(int(member),), execute=True), Silent())

    assert target.query(entries) == before
    assert events_of(target, staged, "unmerge") == events
    withdraw_decisions(staged, [decision.decision_id for decision in written])


def test_deduplicated_after_the_load_ended_members_redirect_and_come_back(
    staged: Settings, legacy: LegacyServer, target_server: TargetServer, tmp_path: Path
) -> None:
    settings = retailer_settings(legacy, target_server, tmp_path, "after")
    shutil.copytree(staged.stage_dir, settings.stage_dir)
    if (staged.dedupe_dir / "model.json").is_file():  # by an earlier test; else it is trained again
        (settings.dedupe_dir).mkdir(mode=0o700)
        shutil.copy(staged.dedupe_dir / "model.json", settings.dedupe_dir)
    try:
        load(settings)
        merged = dedupe(settings)
        assert merged.written.retired > 300
        proven(settings)
        assert load(settings).rows == 0
        with connect_bulk(settings.target) as target:
            redirects = "SELECT member_id, merged_into FROM member WHERE merged_into IS NOT NULL ORDER BY member_id"
            ended = [(int(row[0]), int(row[1])) for row in target.query(redirects)]
            asked = tuple(member for member, _ in ended[:20])

            result = run_unmerge(settings, UnmergeRequest(members=asked, execute=True, by_whom="test"), Silent())

            assert result.left == 0
            back = {group.member_id for one in result.members for group in one.groups}
            assert set(asked) <= back
            left = {int(row[0]) for row in target.query(redirects)}
            assert left == {member for member, _ in ended[20:]}
        proven(settings)
    finally:
        drop_schemas(settings.target)

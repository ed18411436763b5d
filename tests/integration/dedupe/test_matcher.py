"""The matcher says of a batch what a run says of the same rows, keeps them over a restart, and lets go what a run has read."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from etl.dedupe.kept_manifest import FILE as MANIFEST
from etl.dedupe.matched_log import FILE as LOG
from etl.dedupe.matched_log import append_rows, read_rows
from etl.dedupe.matcher import Found, Matcher, open_matcher
from etl.errors import RefusedError, UsageError
from etl.settings import Settings
from etl.target.bulk import BulkConnection
from tests.integration.dedupe.test_arrivals import KEYS, Frames, in_steps, people, stage_all, staged
from tests.integration.dedupe.test_run import dedupe

PARTS = {"member/crm": "crm.dbo.Member", "member/pos": "pos.dbo.PosMember", "member/ecom": "ecom.dbo.Account"}


def arrivals_between(before: Frames, after: Frames) -> Frames:
    """Rows of `after` under keys that `before` does not have."""
    return {name: after[name].join(before[name], on=key, how="anti") for name, key in KEYS.items()}


def who(found: list[Found]) -> dict[str, str | None]:
    """The record that each given row is one person with."""
    rows = pl.concat([one.people for one in found])
    same = pl.concat_str("same_system", pl.lit(":"), "same_id")
    return dict(rows.select(pl.concat_str("system", pl.lit(":"), "source_id"), same).rows())


def match_all(matcher: Matcher, rows: Frames) -> list[Found]:
    """Match the rows of every part, without keeping them."""
    return [matcher.match(part, rows[table]) for part, table in PARTS.items()]


def test_it_says_what_a_run_says(settings: Settings, target: BulkConnection) -> None:
    steps = in_steps(staged(settings), 5)
    steps[1] = {name: pl.concat([steps[0][name], rows]) for name, rows in arrivals_between(steps[0], steps[1]).items()}
    stage_all(settings, steps[0])
    dedupe(settings)
    late = arrivals_between(steps[0], steps[1])
    with open_matcher(settings) as matcher:
        for part, table in PARTS.items():
            matcher.keep(matcher.match(part, late[table]))
        told = who(match_all(matcher, late))
        assert who(match_all(matcher, late)) == told
    with open_matcher(settings) as matcher:
        found = match_all(matcher, late)
    assert who(found) == told
    assert read_rows(settings.dedupe_dir / LOG)

    stage_all(settings, steps[1])
    result = dedupe(settings, since="last")

    assert result.arrivals is not None
    assert result.arrivals.new == len(told) > 50
    persons = {key: keys for keys in people(settings)["clusters"] for key in keys}
    assert {key for key, same in told.items() if same} == set(told) & set(persons)
    assert all(same in persons[key] for key, same in told.items() if same)
    linked = dict(target.query("SELECT CONCAT(source, ':', source_id), member_id FROM member_source"))
    rows = pl.concat([one.people for one in found]).drop_nulls("member_id")
    assert rows.height >= 3  # only members that were merged before are in the crosswalk yet
    with open_matcher(settings) as matcher:
        assert sum(one.height for one in read_rows(settings.dedupe_dir / LOG)) == 0  # the run has read them all
        again = pl.concat([one.people for one in match_all(matcher, late)]).drop_nulls("same_id")
    assert all(linked[f"{row['system']}:{row['source_id']}"] == row["member_id"] for row in again.iter_rows(named=True))


def test_it_refuses_where_there_is_nothing_to_go_on_from(settings: Settings, target: BulkConnection) -> None:
    with pytest.raises(RefusedError, match="to go on from"), open_matcher(settings):
        pass
    dedupe(settings)
    rows = staged(settings)["pos.dbo.PosMember"].head(3)
    with open_matcher(settings) as matcher:
        with pytest.raises(UsageError, match="defines no members"):
            matcher.match("sale/pos", rows)
        with pytest.raises(UsageError, match="columns Phone lack"):
            matcher.match("member/pos", rows.drop("Phone"))
        with pytest.raises(RefusedError, match="more than once"):
            matcher.match("member/pos", pl.concat([rows, rows]))
    (settings.dedupe_dir / MANIFEST).unlink()
    with pytest.raises(RefusedError, match="to go on from"), open_matcher(settings):
        pass


@pytest.mark.parametrize("lost", [1, 7, 40])
def test_a_batch_cut_short_by_a_kill_is_left_out(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "log"
    one, two = pl.DataFrame({"a": ["1"]}), pl.DataFrame({"a": ["2"]})
    append_rows(path, one)
    append_rows(path, two)
    path.write_bytes(path.read_bytes()[:-lost])
    assert [frame["a"].to_list() for frame in read_rows(path)] == [["1"]]
    append_rows(path, two)
    assert [frame["a"].to_list() for frame in read_rows(path)] == [["1"], ["2"]]

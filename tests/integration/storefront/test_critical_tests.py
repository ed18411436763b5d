"""What the gates of the demo rest on: tests that would fail, and requests that are all counted."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from fixtures.storefront.connections import TargetSession, ask_target
from fixtures.storefront.critical_tests import ACTIONS, run_critical_tests, write_junit
from fixtures.storefront.request_log import COLUMNS, logging_requests
from fixtures.storefront.run import StorefrontPlan, run_storefront
from migrations.release.gates.junit import read_junit
from tests.integration.storefront.conftest import Chain

COUNTED = ("sale", "sale_line", "points_ledger", "sign_in", "member")


def rows(chain: Chain) -> dict[str, int]:
    assert chain.sides.target is not None
    return {table: int(ask_target(chain.sides.target, f"SELECT COUNT(*) FROM {table}")[0][0]) for table in COUNTED}


def test_every_action_works_and_leaves_nothing(chain: Chain, tmp_path: Path) -> None:
    """A smoke test that leaves sales behind is a sale that nobody made."""
    before = rows(chain)
    tests = run_critical_tests(chain.sides)
    assert [(test.name, test.trouble) for test in tests] == [(action, "") for action in ACTIONS]
    assert rows(chain) == before
    write_junit(tests, tmp_path / "critical.xml")
    counts = read_junit((tmp_path / "critical.xml").read_bytes())
    assert (counts.total, counts.passed) == (len(ACTIONS), len(ACTIONS))
    assert counts.at is not None


def test_a_target_that_takes_no_ledger_row_fails_what_needs_one(chain: Chain, tmp_path: Path) -> None:
    """A gate whose tests cannot fail lets every wave pass."""
    assert chain.sides.target is not None
    with closing(TargetSession(chain.sides.target)) as session:
        session.query("RENAME TABLE points_ledger TO points_ledger_away")
        try:
            tests = run_critical_tests(chain.sides)
        finally:
            session.query("RENAME TABLE points_ledger_away TO points_ledger")
    assert [test.name for test in tests if not test.trouble] == ["profile", "enrol", "consent"]
    assert all("1146" in test.trouble for test in tests if test.trouble)
    write_junit(tests, tmp_path / "critical.xml")
    assert read_junit((tmp_path / "critical.xml").read_bytes()).failed == 4


def test_each_request_is_a_row(chain: Chain, tmp_path: Path) -> None:
    """An availability that is worked out of some requests only may leave out just those that failed."""
    assert chain.sides.target is not None
    with closing(TargetSession(chain.sides.target)) as session:
        session.query(f"CREATE TABLE request ({COLUMNS})")
        try:
            with logging_requests(chain.sides.target, f"{chain.sides.target.schema_name}.request") as figures:
                sold = run_storefront(StorefrontPlan(chain.sides, chain.routes, tmp_path / "logs", 1.5, figures=figures))
            written = session.query("SELECT COUNT(*), SUM(failed), COUNT(DISTINCT store) FROM request")[0]
        finally:
            session.query("DROP TABLE request")
    assert int(written[0]) == sold.legacy.done + sold.tidb.done > 0
    assert int(written[1]) == 0
    assert int(written[2]) > 1

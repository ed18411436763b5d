"""What doctor says of the rights that snapshots of a release need, from the lines of SHOW GRANTS."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from etl.checks.model import CheckResult
from etl.checks.target_rights import judge_grants, parse_grants
from etl.settings import TargetSettings

TARGET = TargetSettings(url=SecretStr("mysql://a:b@127.0.0.1:1"), state_schema="shift")
BASE = [
    f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX ON `{one}`.* TO 'a'@'%'" for one in ("membership", "shift")
]
GC = "right SYSTEM_VARIABLES_ADMIN"


def judged(*lines: str, is_tidb: bool = True) -> dict[str, CheckResult]:
    """By name."""
    return {one.name: one for one in judge_grants(parse_grants([*BASE, *lines]), TARGET, user="'a'@'%'", is_tidb=is_tidb)}


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("", "SELECT, INSERT, CREATE, DROP"),
        ("GRANT SELECT,INSERT ON `shift\\_verify`.* TO 'a'@'%'", "CREATE, DROP"),
        ("GRANT SELECT,INSERT,CREATE,DROP ON `shift\\_verify`.* TO 'a'@'%'", ""),
        ("GRANT ALL PRIVILEGES ON `shift%`.* TO 'a'@'%'", ""),
        ("GRANT ALL PRIVILEGES ON `other\\_verify`.* TO 'a'@'%'", "SELECT, INSERT, CREATE, DROP"),
    ],
)
def test_the_scratch_schema_of_snapshot_verify(line: str, missing: str) -> None:
    """What a bug would cost: a snapshot that nobody could look at before it was needed."""
    found = judged(line)["rights on shift_verify"]
    assert found.status == ("warn" if missing else "ok")
    assert not missing or found.remedy_text == f"Run: GRANT {missing} ON `shift_verify`.* TO 'a'@'%'"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("", "warn"),
        ("GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO 'a'@'%'", "ok"),
        ("GRANT SUPER ON *.* TO 'a'@'%'", "ok"),
        ("GRANT ALL PRIVILEGES ON *.* TO 'a'@'%'", "ok"),
        ("GRANT ALL PRIVILEGES ON `shift`.* TO 'a'@'%'", "warn"),
    ],
)
def test_the_right_to_keep_old_versions(line: str, status: str) -> None:
    found = judged(line)[GC]
    assert found.status == status
    assert status == "ok" or found.remedy_text == "Run: GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO 'a'@'%'"


def test_only_tidb_is_asked_for_it() -> None:
    """MariaDB has no such setting, and no such right."""
    assert GC not in judged(is_tidb=False)


def test_who_takes_no_snapshots_is_ready_all_the_same() -> None:
    assert not [one for one in judged("GRANT PROCESS ON *.* TO 'a'@'%'").values() if one.status == "fail"]


def test_long_names_still_have_a_scratch_schema() -> None:
    assert len(TARGET.model_copy(update={"state_schema": "s" * 59}).verify_schema) == 64

"""People stand in membershift.toml, in release.toml, or in both alike: no list is believed beside another one that is signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import ConfigurationError
from migrations.release.event_log import open_event_log
from migrations.release.events import Approved, Planned, Started
from migrations.release.lookout import open_lookout
from migrations.release.model import Route
from migrations.release.plan_file import read_plan

PLAN = 'name = "r"\n[[wave]]\nname = "a"\nstores = ["S1"]\napprovals = 1\n[publish]\nacknowledge = "none"\n'


def plan_in(folder: Path, roles: str = "") -> Path:
    """A file with these [roles]."""
    path = folder / "release.toml"
    path.write_text(PLAN + (f"[roles]\n{roles}\n" if roles else ""))
    return path


def test_what_only_membershift_toml_says_holds_in_a_release(tmp_path: Path) -> None:
    """What a bug would cost: `approver = ["li"]` in the one file that everybody reads, and waves that anybody approves."""
    plan = read_plan(plan_in(tmp_path), {"approver": ("li",), "dba": ("wang",)})
    assert plan.roles.allows("approver", "li")
    assert not plan.roles.allows("approver", "wu")
    assert plan.roles.allows("operator", "wu"), "nobody is named for it: anybody"


def test_what_only_the_plan_says_holds(tmp_path: Path) -> None:
    plan = read_plan(plan_in(tmp_path, 'approver = ["li"]'), {"dba": ("wang",)})
    assert not plan.roles.allows("approver", "wang")


def test_the_same_people_in_another_order_are_no_contradiction(tmp_path: Path) -> None:
    path = plan_in(tmp_path, 'operator = ["li", "wang"]')
    assert read_plan(path, {"operator": ("wang", "li")}) == read_plan(path)


@pytest.mark.parametrize("role", ["approver", "operator", "overruler"])
def test_two_lists_that_differ_are_refused_with_both_of_them(tmp_path: Path, role: str) -> None:
    path = plan_in(tmp_path, f'{role} = ["li", "wang"]')
    with pytest.raises(ConfigurationError) as raised:
        read_plan(path, {role: ("li", "chen")})
    assert f"[roles] {role} is li, wang, and chen, li in membershift.toml" in raised.value.message
    assert "same people in both" in raised.value.remedy


def test_more_approvals_than_membershift_toml_has_approvers_for(tmp_path: Path) -> None:
    """The wave would wait for ever."""
    path = plan_in(tmp_path)
    path.write_text(path.read_text().replace("approvals = 1", "approvals = 2"))
    with pytest.raises(ConfigurationError, match="needs 2 approvals"):
        read_plan(path, {"approver": ("li",)})


def test_the_plan_is_the_same_plan_whoever_holds_the_roles(tmp_path: Path) -> None:
    """Somebody who leaves the company is no change of the plan."""
    path = plan_in(tmp_path)
    assert read_plan(path, {"approver": ("li",)}).digest == read_plan(path).digest


def test_who_watches_sees_the_same_as_the_controller(tmp_path: Path) -> None:
    """What a bug would cost: a screen that says the wave begins, while it waits for somebody who may approve it."""
    path = plan_in(tmp_path)
    with open_event_log(tmp_path) as log:
        log.append(Planned("r", (("S1",),), {"S1": Route.LEGACY}, read_plan(path).digest))
        log.append(Started())
        log.append(Approved(0, "wu"))
    for roles, kind in (({}, "begin wave"), ({"approver": ("li",)}, "wait")):
        with open_lookout(tmp_path, path, roles) as lookout:
            act = lookout.look().next.act
            assert act is not None
            assert act.kind == kind

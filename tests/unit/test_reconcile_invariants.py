"""How invariants are judged from what each side says."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from etl.errors import ConfigurationError, TargetError
from etl.mapping.load_mapping import load_mapping
from etl.progress import Silent
from etl.reconcile.invariant_compare import judge_orphans, judge_rules, judge_sums
from etl.reconcile.invariant_model import InvariantResult, Rows, Verdict
from etl.reconcile.invariant_spec import load_invariants, read_rules
from etl.reconcile.invariants import run_checks
from etl.settings import MappingSettings


def sums(**groups: tuple[str, ...]) -> Rows:
    """Values by group."""
    return {(name,): tuple(Decimal(value) for value in values) for name, values in groups.items()}


def verdicts(source: Rows, aside: Rows, target: Rows) -> dict[str, Verdict]:
    """Verdict of each group that is told."""
    return {row.key: row.verdict for row in judge_sums("n", "t", ("rows", "money"), source, aside, target).rows}


def test_sums_differ_by_exactly_what_is_in_quarantine_or_not_at_all() -> None:
    source = sums(a=("3", "30.00"), b=("1", "5"), c=("2", "7"), d=("1", "1"))
    aside = sums(a=("1", "10"), b=("1", "5"), c=("1", "3"))
    target = sums(a=("2", "20"), c=("1", "3.9999"), d=("1", "1.0000"), e=("1", "0"))
    assert verdicts(source, aside, target) == {
        "a": Verdict.EXPLAINED,
        "b": Verdict.EXPLAINED,  # the whole group is in quarantine
        "c": Verdict.DIFFERS,  # 4 remain, not 3.9999
        "e": Verdict.DIFFERS,  # nobody on the source
    }


def test_a_sum_that_agrees_by_chance_with_rows_in_quarantine_is_equal() -> None:
    assert verdicts(sums(a=("1", "0")), sums(a=("1", "0")), sums(a=("1", "0"))) == {}


def test_a_rule_broken_alike_on_both_sides_came_with_the_data() -> None:
    source = sums(m1=("2", "0"), m2=("1", "0"), m4=("9", "8"))
    target = sums(m1=("2", "0"), m2=("1", "3"), m3=("5", "4"))
    asked: list[str] = []

    def without_quarantine(keys: object) -> Rows:
        asked.extend(sorted(keys))  # type: ignore[call-overload]  # it is a collection of keys
        return sums(m3=("5", "4"))

    result = judge_rules("n", "t", ("tier", "rule"), source, target, without_quarantine)
    assert asked == ["m2", "m3", "m4"], "only what differs is looked into"
    assert {row.key: row.verdict for row in result.rows} == {
        "m1": Verdict.SAME_DEFECT,
        "m2": Verdict.DIFFERS,
        "m3": Verdict.EXPLAINED,  # the source says the same once quarantine is left out
        "m4": Verdict.EXPLAINED,  # and no longer breaks the rule here
    }
    assert (result.verdict, result.defects, result.explained, result.differing) == (Verdict.DIFFERS, 1, 2, 1)


def test_orphans_of_the_target_are_its_own_unless_their_parent_is_aside() -> None:
    result = judge_orphans("n", "t", sums(p1=("2",)), sums(p1=("2",), p2=("1",), p3=("1",)), {"p2"})
    assert {row.key: row.verdict for row in result.rows} == {
        "p1": Verdict.SAME_DEFECT,
        "p2": Verdict.EXPLAINED,
        "p3": Verdict.DIFFERS,
    }


def test_the_retailers_invariants_are_read_whole() -> None:
    rules = load_invariants(load_mapping(MappingSettings()))
    assert {rule.name for rule in rules.sums} == {"sales", "points", "balances", "coupons"}
    assert {rule.name for rule in rules.rules} == {"points_balance", "tier_rule"}
    assert rules.as_of
    assert all(len(rule.parents) == len(rule.prefixes) for rule in rules.orphans)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('[[sums]]\nname = "a"\n', "title"),
        ('[[orphans]]\nname = "a"\ntitle = "t"\ntarget = "x"\nparents = ["nowhere"]\n', "nowhere"),
        ("[[sums]\n", "rules.toml"),
    ],
)
def test_a_mistake_in_the_rules_is_named(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_rules(path, {"member/crm"})
    assert names in caught.value.message


def test_checks_run_at_once_and_are_told_in_their_own_order() -> None:
    """The order of a report must not hang on which statement ended first."""
    both_run = threading.Barrier(2, timeout=10)  # neither passes alone

    def check(name: str) -> InvariantResult:
        both_run.wait()
        return judge_sums(name, "t", ("rows",), {}, {}, {})

    with ThreadPoolExecutor(1) as soon:
        results = run_checks([partial(check, name) for name in ("a", "b", "c", "d")], soon, 2, Silent())
    assert [result.name for result in results] == ["a", "b", "c", "d"]


def test_the_first_check_that_fails_ends_the_others() -> None:
    """No statement that waits is sent any more once it is known that there is nothing to tell."""
    begun: list[str] = []

    def check(name: str) -> InvariantResult:
        begun.append(name)
        if name == "last":
            raise TargetError("The server is gone.", "Start it.")
        time.sleep(0.2)
        return judge_sums(name, "t", ("rows",), {}, {}, {})

    with ThreadPoolExecutor(1) as soon, pytest.raises(TargetError):
        run_checks([partial(check, name) for name in ("first", "a", "b", "c", "last")], soon, 1, Silent())
    assert "first" not in begun
    assert begun[0] == "last"

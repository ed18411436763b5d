"""Comparison sets: those that come with the program are whole, and a mistake in one's own is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.dedupe.model import ComparisonSet
from etl.dedupe.read_model import builtin_model, open_model, read_model_file
from etl.errors import ConfigurationError

SMALL = """\
name = "small"
title = "Small"
[thresholds]
match = 3
[[field]]
name = "email"
kind = "email"
[[block]]
name = "e-mail"
on = ["email"]
[[comparison]]
name = "email"
title = "E-mail"
[[comparison.level]]
name = "missing"
when = "email_l is null or email_r is null"
null = true
[[comparison.level]]
name = "equal"
when = "email_l = email_r"
[[comparison.level]]
name = "differs"
when = "otherwise"
"""


def read(text: str, folder: Path) -> ComparisonSet:
    """A comparison set from its text."""
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return read_model_file(path)


@pytest.mark.parametrize("name", ["chinese_members", "english_people"])
def test_sets_that_come_with_the_program(name: str) -> None:
    found = open_model(name)
    assert found.name == name
    assert {column for rule in found.blocking for column in rule.on} <= set(found.columns)
    for comparison in found.comparisons:
        assert comparison.level_of(-1).is_null
        for gamma, level in enumerate(reversed(comparison.weighed)):
            assert comparison.level_of(gamma) is level
            assert comparison.gamma_of(level.name) == gamma


def test_one_s_own_set(tmp_path: Path) -> None:
    found = read(SMALL, tmp_path)
    assert (found.thresholds.match, found.thresholds.review, found.version) == (3.0, 0.0, 1)
    assert found.comparison("email").columns == ("email",)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('kind = "email"', 'kind = "emial"', 7, "unknown value of kind 'emial'"),
        ('on = ["email"]', 'on = ["mail"]', 10, "unknown column 'mail'"),
        ("email_l = email_r", "email_l = emial_r", 20, "unknown column 'emial_r'"),
        ("email_l = email_r", "email_l = = email_r", 20, "no SQL expression"),
        ('when = "otherwise"', 'when = "true"', 11, "must be 'otherwise'"),
        ("null = true", "null = false", 11, "must say when a value is missing"),
        ("match = 3", "macth = 3", 4, "unknown key 'macth'"),
        ("match = 3", 'match = "3"', 4, "must be a number"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, line: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(SMALL.replace(old, new), tmp_path)
    assert f"line {line}:" in caught.value.message
    assert message in caught.value.message


def test_an_unknown_set_names_those_there_are() -> None:
    with pytest.raises(ConfigurationError) as caught:
        builtin_model("martian")
    assert "chinese_members" in caught.value.remedy

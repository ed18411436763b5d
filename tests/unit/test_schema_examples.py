"""The examples in the schema's docstrings hold. Named here, because Alembic's env.py beside them runs only under Alembic."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("name", ["names", "model", "drift"])
def test_examples_hold(name: str) -> None:
    failed, tried = doctest.testmod(import_module(f"migrations.schema.{name}"))

    assert tried > 0
    assert failed == 0

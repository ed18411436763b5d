"""Every sentence of a report exists in Chinese, with the same places for values."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from reports.text import chinese

ROOT = Path(__file__).resolve().parents[2]
PLACE = re.compile(r"\{(\w+)")


def sentences() -> set[str]:
    """The English sentences given to tr() anywhere in the program."""
    found = set()
    for folder in ("cli", "reports", "etl", "migrations", "fixtures", "loadtest"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id == "tr"
                    and len(node.args) == 2
                ):
                    sentence = node.args[1]
                    if isinstance(sentence, ast.Constant) and isinstance(sentence.value, str):
                        found.add(sentence.value)
    return found


def test_every_sentence_has_a_translation() -> None:
    assert not sorted(sentences() - chinese().keys())


def test_translations_keep_their_places() -> None:
    different = [english for english, text in chinese().items() if set(PLACE.findall(english)) != set(PLACE.findall(text))]
    assert not different

"""Every sentence that a gate, a source of figures or a trigger says can be told in Chinese: approvers read the report in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from reports.text import KEPT_AS_TEXT, read, told

RELEASE = Path(__file__).resolve().parents[3] / "migrations" / "release"
FILES = (
    *sorted((RELEASE / "gates").glob("*.py")),
    *(RELEASE / "metrics" / f"{name}.py" for name in ("base", "file", "sql", "prometheus")),
    *(RELEASE / f"{name}.py" for name in ("figures", "triggers", "windows", "switch_hours")),
)
PLACE = re.compile(r"\{\w*\}")
TECHNICAL = re.compile(
    r"membershift [a-z ]+( --\w+ \{\})?(, then membershift [a-z ]+)?|[<>=]+ \{\}.*|SELECT .*|(Basic|Bearer) \{\}"
    r"|\{\}( s| %| \{\}|: \{\}|; \{\})|go on"
)
"""Commands, limits, statements, headers, figures with their unit, and sentences that are only put together."""


def shape(node: ast.expr) -> str | None:
    """A sentence with {} for its places; None for what is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def sentences(path: Path) -> Iterator[str]:
    """What a file says to people: texts with a space in them that are no docstring, no pattern and no statement."""
    tree = ast.parse(path.read_text("utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped |= {id(inner) for inner in ast.walk(node)} if isinstance(node.value, ast.Constant) else set()
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(part) for part in node.values if isinstance(part, ast.Constant)}
            for part in node.values:
                if isinstance(part, ast.FormattedValue) and part.format_spec is not None:
                    skipped |= {id(inner) for inner in ast.walk(part.format_spec)}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "compile",
            "ConfigurationError",
            "ValueError",
        ):
            skipped |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        text = shape(node) if isinstance(node, ast.expr) and id(node) not in skipped else None
        if text is not None and " " in text.strip() and not TECHNICAL.fullmatch(text):
            yield text


def test_every_sentence_can_be_told_in_chinese() -> None:
    known = {PLACE.sub("{}", english) for english in read(KEPT_AS_TEXT)}
    said = {text for path in FILES for text in sentences(path)}
    missing = sorted(said - known)
    assert len(said) > 60
    assert not missing, "\n".join(missing)


def test_evidence_of_several_sentences_is_told_sentence_by_sentence() -> None:
    """What a bug would cost: the one line that says why a wave does not go on, half of it in a language the reader lacks."""
    told_so = told("zh", "reverse is 9.0 s behind; waiting: the source; held back: file")
    assert told_so == "reverse 落后 9.0 秒；正在等待：the source；已限速：file"
    overruled = told("zh", "wave 2 needs 1 approvals and has 0 of them; not an approver: wu (overruled by li: ill)")
    assert overruled == "第 2 批需要 1 人审批，已有 0 人；无审批权：wu（已由 li 强制放行：ill）"
    assert told("zh", "lag: sync was ended") == "同步延迟：同步已停止"

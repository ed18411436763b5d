"""What a mapping says about sync, as data: [sync] and [sync.rules] of a table's file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Mode = Literal["both", "append", "source"]
"""How rows of a target table change. "both": on either side. "append": they are inserted on either side, and seldom changed
later, by the side that made them. "source": on the legacy side only."""

Rule = Literal["latest", "source", "target", "sum", "least", "greatest"]
"""Whose value a column takes when both sides changed it. "latest": of the side that changed the row last. "sum": the column is a
counter, to which each side adds. "least", "greatest": the stricter of two values, such as a consent taken back."""

Capture = Literal["scan", "outbox"]
"""How changes of a table on the target are told. "scan": by the times of its rows. "outbox": by entries that the application
writes itself, in the transaction that makes the change (etl/sync/capture/outbox.py)."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
RULES: Final[tuple[Rule, ...]] = get_args(Rule)
CAPTURES: Final[tuple[Capture, ...]] = get_args(Capture)


@dataclass(frozen=True)
class SyncRules:
    """How a target table is kept in step. `columns`: rules of single columns, `default` that of all others. `together`: columns
    that say one thing, such as a consent and when it was given: one side's win as a whole, by the rule of the first. `capture`:
    how its changes on the target are told."""

    mode: Mode = "both"
    default: Rule = "latest"
    columns: Mapping[str, Rule] = field(default_factory=dict)
    together: tuple[tuple[str, ...], ...] = ()
    capture: Capture = "scan"

    def rule(self, column: str) -> Rule:
        """The rule of a column."""
        return self.columns.get(column, self.default)

    def units(self, columns: Iterable[str]) -> list[tuple[str, ...]]:
        """`columns` as they are decided: those that belong together in one, all others alone."""
        left = dict.fromkeys(columns)
        units = []
        for group in self.together:
            mine = tuple(column for column in group if column in left)
            if mine:
                units.append(mine)
                for column in mine:
                    del left[column]
        return [*units, *((column,) for column in left)]

    @property
    def counters(self) -> tuple[str, ...]:
        """Columns to which each side adds."""
        return tuple(name for name, rule in self.columns.items() if rule == "sum")

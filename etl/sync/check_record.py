"""How far the background check is and what it found: counts beside the positions of sync, masked details in the state folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from etl.personal_files import make_private_folder, write_personal_file
from etl.reconcile.differences import Difference
from etl.sync.capture.rows import EPOCH, microseconds
from etl.sync.forward.positions import LONGEST_DETAIL, parse_detail
from etl.sync.state import Position, write_position
from etl.target.bulk import BulkConnection

PASS: Final = "check"
LAST: Final = "check/last"
"""Rows of sync_position: the pass that is under way, and the last one that came to its end."""


@dataclass(frozen=True)
class CheckPass:
    """One walk over all keys. `began`: when (UTC). `leg`, `after`: where it is; `leg` "" once it is through, at `ended`. `rows`:
    how many were looked at. `differing`: rows that differ at the second look too; `explained`: those of which sync itself knows
    (to be sent yet, or in a dead letter), which are not among them."""

    began: datetime
    leg: str = ""
    after: str | None = None
    rows: int = 0
    differing: int = 0
    explained: int = 0
    ended: datetime | None = None

    def add(self, rows: int, differing: int = 0, explained: int = 0) -> CheckPass:
        """With one more chunk."""
        return replace(
            self,
            rows=self.rows + rows,
            differing=self.differing + differing,
            explained=self.explained + explained,
        )

    @property
    def detail(self) -> str:
        """Beside the position; a key too long to be noted only means that its table begins anew."""
        facts = {"leg": self.leg, "after": self.after, "rows": self.rows, "diff": self.differing, "known": self.explained}
        facts |= {"ended": None if self.ended is None else microseconds(self.ended)}
        written = json.dumps({name: value for name, value in facts.items() if value is not None})
        return written if len(written) <= LONGEST_DETAIL else replace(self, after=None).detail


@dataclass(frozen=True)
class CheckStanding:
    """`present`: the pass under way, None between two; `last`: the one before, None before the first ended."""

    present: CheckPass | None = None
    last: CheckPass | None = None

    @property
    def differing(self) -> int:
        """What was found by the pass under way, or else by the last: whichever found more, as long as both are known."""
        return max((one.differing for one in (self.present, self.last) if one is not None), default=0)


NOTHING_CHECKED: Final = CheckStanding()


def read_standing(positions: Mapping[str, Position]) -> CheckStanding:
    """From the positions of sync."""
    present, last = (None if name not in positions else pass_of(positions[name]) for name in (PASS, LAST))
    return CheckStanding(present if present is not None and present.ended is None else None, last)


def pass_of(position: Position) -> CheckPass:
    """As it was noted."""
    facts = parse_detail(position.detail)

    def number(name: str) -> int:
        value = facts.get(name, 0)
        return value if isinstance(value, int) else 0

    after, ended = facts.get("after"), number("ended")
    return CheckPass(
        time_of(position.value),
        str(facts.get("leg", "")),
        None if after is None else str(after),
        number("rows"),
        number("diff"),
        number("known"),
        time_of(ended) if ended else None,
    )


def time_of(value: int) -> datetime:
    """A time (UTC) of microseconds since 1970."""
    return (EPOCH + timedelta(microseconds=value)).replace(tzinfo=UTC)


def note_pass(target: BulkConnection, state_schema: str, one: CheckPass) -> None:
    """Where it is; at its end it is the last one too. Raises ServerError."""
    with target.transaction():
        write_position(target, state_schema, PASS, microseconds(one.began), one.detail)
        if one.ended is not None:
            write_position(target, state_schema, LAST, microseconds(one.began), one.detail)


@dataclass
class Found:
    """The first differences of a pass, masked, as a file in the state folder; what was kept before a restart stays."""

    folder: Path
    limit: int
    began: datetime

    @property
    def path(self) -> Path:
        """Of this pass."""
        return self.folder / "sync" / f"check-{self.began:%Y%m%dT%H%M%S}.json"

    def add(self, more: Iterable[Difference]) -> None:
        """Keep these too, as far as there is room. Raises ConfigurationError when the disk is full."""
        kept = json.loads(self.path.read_text("utf-8"))["differences"] if self.path.exists() else []
        new = [asdict(one) for one in islice(more, max(0, self.limit - len(kept)))]
        if not new:
            return
        make_private_folder(self.path.parent)
        told = {"began": self.began.isoformat(), "differences": [*kept, *new]}
        with write_personal_file(self.path) as file:
            file.write(json.dumps(told, ensure_ascii=False, indent=1).encode())

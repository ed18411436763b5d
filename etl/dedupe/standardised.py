"""Standardised chunks, kept beside the stage: a chunk whose content and rules are the same is not standardised again.

With ten thousand arrivals among a million records nearly all of a run would otherwise be spent on rows that did not change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import polars as pl

from etl.dedupe.model import ComparisonSet
from etl.mapping.model import Mapping, Part
from etl.personal_files import read_personal_file, write_personal_file
from etl.settings import Settings
from etl.stage.read import StagedChunk
from etl.target.columns import TargetColumn

FOLDER: Final = "standardised"
FORMAT: Final = 2
READERS: Final = ("membershift", "polars", "pypinyin", "opencc-python-reimplemented", "phonenumbers", "lunar-python")
EXACT, ROUGH = "exact", "rough"


class Standardised:
    """The kept chunks of one way to read them: with the target's columns known ("exact") or not ("rough")."""

    def __init__(
        self,
        settings: Settings,
        mapping: Mapping,
        comparison_set: ComparisonSet,
        targets: dict[str, Sequence[TargetColumn]] | None,
    ) -> None:
        self._folder = settings.state_dir / "dedupe" / FOLDER
        self._way = ROUGH if targets is None else EXACT
        self.rules = rules_of(mapping, comparison_set, targets)
        self._used: set[str] = set()

    def path(self, part: Part, chunk: StagedChunk) -> Path:
        """Where the chunk is, or would be, kept."""
        key = hashlib.sha256(f"{part.name} {chunk.sha256} {self.rules}".encode()).hexdigest()[:32]
        return self._folder / f"{self._way}-{key}.parquet"

    def read(self, part: Part, chunk: StagedChunk) -> pl.DataFrame | None:
        """The chunk as it was standardised before; None where it was not, or where other tables have a say in it."""
        if part.lookups:
            return None
        path = self.path(part, chunk)
        self._used.add(path.name)
        if not path.is_file():
            return None
        with read_personal_file(path) as file:
            return pl.read_parquet(file)

    def keep(self, part: Part, chunk: StagedChunk, frame: pl.DataFrame) -> None:
        """Write a standardised chunk."""
        if part.lookups:
            return
        with write_personal_file(self.path(part, chunk)) as file:
            frame.write_parquet(file, compression="lz4")

    def forget_others(self) -> None:
        """Remove what this run had no use for: chunks taken anew, and other rules."""
        for path in self._folder.glob(f"{self._way}-*.parquet"):
            if path.name not in self._used:
                path.unlink(missing_ok=True)


def rules_of(mapping: Mapping, comparison_set: ComparisonSet, targets: dict[str, Sequence[TargetColumn]] | None) -> str:
    """What tells one way to make records of rows from another: rules, and the programs that read values."""
    programs = (version(name) for name in READERS)
    told: Iterable[object] = (FORMAT, mapping.fingerprint, comparison_set.fields, targets, *programs)
    return hashlib.sha256("\n".join(repr(one) for one in told).encode()).hexdigest()[:16]

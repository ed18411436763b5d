"""A part of a mapping made ready to run: staged rows in, target rows out, and every bad row with its true reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from etl.mapping.model import Part
from etl.mapping.outcome import TransformOutcome
from etl.target.columns import TargetColumn


@dataclass(frozen=True)
class MemberReference:
    """`target_column` takes the member id that `system` knows under `key_column` of the source."""

    target_column: str
    system: str
    key_column: str


@dataclass(frozen=True)
class CompiledPart:
    """A part, checked against its source and its target.

    `source_columns` are the staged columns to read, `target_columns` those that `apply` returns, in its order.
    """

    part: Part
    source_columns: tuple[str, ...]
    target_columns: tuple[TargetColumn, ...]
    member_references: tuple[MemberReference, ...]

    def member_keys(self, frame: pl.DataFrame) -> dict[str, pl.Series]:
        """For each member reference, by target column: the ids to look up in the crosswalk, as it writes them (String)."""
        raise NotImplementedError

    def source_keys(self, frame: pl.DataFrame) -> pl.Series:
        """The key of each row as text, parts joined by "|"."""
        raise NotImplementedError

    def apply(
        self,
        frame: pl.DataFrame,
        members: Mapping[str, pl.Series],
        lookups: Mapping[str, pl.DataFrame] | None = None,
    ) -> TransformOutcome:
        """Transform staged rows. `members`: member ids (Int64, NULL where unknown) for each target column of
        `member_references`, in the order of `frame`. `lookups`: the frames of the part's lookups, by name."""
        raise NotImplementedError


def compile_part(part: Part, source_schema: pa.Schema, target: Sequence[TargetColumn]) -> CompiledPart:
    """Check a part against staged and target columns and make it ready.

    `source_schema` is the staged table's, `target` the live table's columns. Columns of `target` that the part does not map
    are left to the server, and must be able to do without.
    Raises ConfigurationError for a missing column or a type that cannot fit, with the mapping's file and line.
    """
    raise NotImplementedError(part.name, source_schema, target)

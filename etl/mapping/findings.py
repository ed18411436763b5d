"""Collecting what is wrong with single rows, and writing it down masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from etl.mapping.outcome import FINDING_SCHEMA
from etl.masking import mask

ROW = "·row"
"""Name of the column that numbers the rows of a frame, while their faults are looked for."""
LONGEST_KEY = 400
LONGEST_VALUE = 200


@dataclass(frozen=True)
class About:
    """What a finding is about: a target column, the source columns it comes from, and how to mask them."""

    column: str
    sources: tuple[str, ...]
    personal: str | None


class Findings:
    """Faults of one frame's rows. A rejected row is out; a noted one is loaded."""

    def __init__(self, rows: int, keys: Sequence[str]) -> None:
        self._keys = keys
        self._rejected: npt.NDArray[np.bool_] = np.zeros(rows, dtype=np.bool_)
        self._rejects: list[pl.DataFrame] = []
        self._notes: list[pl.DataFrame] = []

    def reject(self, rows: pl.DataFrame, about: About, reason: str | pl.Expr, detail: pl.Expr | None = None) -> None:
        """Every row of `rows` (source columns and ROW) is out, for `reason`."""
        if rows.height:
            self._rejected[rows[ROW].to_numpy()] = True
            self._rejects.append(describe(rows, self._keys, about, reason, detail))

    def note(self, rows: pl.DataFrame, about: About, reason: str | pl.Expr, detail: pl.Expr | None = None) -> None:
        """Every row of `rows` is loaded with a changed value, for `reason`."""
        if rows.height:
            self._notes.append(describe(rows, self._keys, about, reason, detail))

    @property
    def kept(self) -> pl.Series | None:
        """Which rows are not rejected; None when none is."""
        return pl.Series("kept", ~self._rejected) if self._rejects else None

    def rejects(self) -> pl.DataFrame:
        """All rejects, column by column."""
        return pl.concat(self._rejects).drop(ROW) if self._rejects else pl.DataFrame(schema=FINDING_SCHEMA)

    def notes(self) -> pl.DataFrame:
        """Notes on rows that are loaded."""
        if not self._notes:
            return pl.DataFrame(schema=FINDING_SCHEMA)
        every = pl.concat(self._notes)
        return every.filter(pl.Series(~self._rejected[every[ROW].to_numpy()])).drop(ROW)


def describe(
    rows: pl.DataFrame, keys: Sequence[str], about: About, reason: str | pl.Expr, detail: pl.Expr | None
) -> pl.DataFrame:
    """FINDING_SCHEMA for each row, and ROW."""
    return rows.select(
        pl.col(ROW),
        source_key=key_text(rows, keys),
        column_name=pl.lit(about.column),
        reason=pl.lit(reason) if isinstance(reason, str) else reason,
        masked_value=masked_values(rows, about.sources, about.personal),
        detail=pl.lit(None, dtype=pl.String) if detail is None else detail,
    )


def key_text(rows: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """The key of each row as text: its columns joined by "|", a "|" or "\\\\" within one written behind a "\\\\".

    >>> key_text(pl.DataFrame({"a": ["x|y", None], "b": [1, 2]}), ["a", "b"]).to_list()
    ['x\\\\|y|1', 'NULL|2']
    """
    parts = []
    for key in keys:
        text = pl.col(key).cast(pl.String)
        if rows.schema[key] == pl.String and len(keys) > 1:
            text = text.str.replace_all(r"([|\\])", r"\$1")
        parts.append(text.fill_null("NULL"))
    return rows.select(pl.concat_str(parts, separator="|").str.slice(0, LONGEST_KEY).alias("source_key")).to_series()


def masked_values(rows: pl.DataFrame, sources: Sequence[str], personal: str | None) -> pl.Series:
    """What the sources hold, masked. A row at a time: this is for faulty rows, which are few."""
    if not sources:
        return pl.Series("masked_value", [None] * rows.height, dtype=pl.String)
    shown = (" ".join(mask(value, personal) for value in values)[:LONGEST_VALUE] for values in rows.select(sources).iter_rows())
    return pl.Series("masked_value", list(shown), dtype=pl.String)

"""What became of the rows of a batch on the target."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from etl.mapping.outcome import FINDING_SCHEMA


@dataclass
class Sorted:
    """What became of the rows of a batch: row numbers of `unchanged` ones and findings of refused ones; all others are loaded."""

    unchanged: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    findings: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, row: int, key: str, column: str, reason: str, value: str, detail: str) -> None:
        """Note why a row cannot be loaded."""
        self.refused.append(row)
        self.findings.append(
            {"source_key": key, "column_name": column, "reason": reason, "masked_value": value, "detail": detail}
        )

    def findings_frame(self) -> pl.DataFrame:
        """The findings as FINDING_SCHEMA."""
        return pl.DataFrame(self.findings, schema=FINDING_SCHEMA, orient="row")

"""Columns of the live target, as far as a value must fit into them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TargetColumn:
    """One column of a target table.

    `kind` is INFORMATION_SCHEMA.COLUMNS.DATA_TYPE in lower case, with " unsigned" behind it where that is so: "varchar",
    "char", "text", "mediumtext", "bigint", "bigint unsigned", "tinyint", "decimal", "double", "date", "datetime", "time",
    "timestamp", "varbinary"...
    `length` is in characters for char and varchar, in bytes for text, blob and binary kinds. `precision` and `scale` are those
    of decimals; of a time, `scale` is the number of its fractional digits. `generated`: the server fills it when it is left
    out (a default, AUTO_RANDOM, AUTO_INCREMENT, a computed column).
    """

    name: str
    kind: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    nullable: bool = True
    generated: bool = False

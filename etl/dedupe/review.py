"""The doubtful pairs of the last run, as people look at them: two records side by side, and what speaks for and against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl

from etl.dedupe.labels import Answer, RecordRef
from etl.dedupe.model import Field
from etl.dedupe.record_files import scan_records
from etl.errors import ConfigurationError, UsageError
from etl.masking import mask
from etl.personal_files import read_personal_file

NEVER_RUN: Final = "Run `membershift dedupe run` first: it finds the pairs."
PERSONAL: Final = ("id_card", "union_id", "phone", "email", "birthday", "address", "name")


@dataclass(frozen=True)
class Compared:
    """One fact about both records, as shown (masked unless asked otherwise). `same` looks at the values themselves."""

    name: str
    left: str
    right: str
    same: bool

    @property
    def known(self) -> bool:
        """Whether both records say something."""
        return bool(self.left and self.right)


@dataclass(frozen=True)
class DoubtfulPair:
    """A pair to answer: the records by number and by key, its match weight, why it is in doubt, what both say."""

    left_record: int
    right_record: int
    left: RecordRef
    right: RecordRef
    weight: float | None
    reason: str
    facts: tuple[Compared, ...]
    answer: Answer | None = None


def read_review(folder: Path) -> pl.DataFrame:
    """left, right, weight, reason of every pair in doubt, the likeliest first.

    Raises ConfigurationError when nothing was run yet.
    """
    frame = read_frame(folder / "review.parquet")
    return frame.sort(["weight", "left", "right"], descending=[True, False, False], nulls_last=True)


def read_frame(path: Path) -> pl.DataFrame:
    """One file of the last run. Raises ConfigurationError when it is not there or not whole."""
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist.", NEVER_RUN)
    with read_personal_file(path) as file:
        try:
            return pl.read_parquet(file)
        except pl.exceptions.PolarsError as error:
            raise ConfigurationError(f"{path} cannot be read.", NEVER_RUN) from error


def read_records_of(folder: Path, numbers: Sequence[int] | pl.Series) -> pl.DataFrame:
    """These records, whole. Reads only the row groups it needs."""
    wanted = pl.Series("record", list(numbers), dtype=pl.Int64).unique()
    path = folder / "records.parquet"
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist.", NEVER_RUN)
    return scan_records(path).filter(pl.col("record").is_in(wanted.implode())).collect()


def find_record(folder: Path, wanted: RecordRef) -> int:
    """The number of a record. Raises UsageError when the last run read no such record."""
    path = folder / "records.parquet"
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist.", NEVER_RUN)
    of_system = scan_records(path).select("record", "system", "source_id").filter(pl.col("system") == wanted.system)
    found = of_system.filter(pl.col("source_id") == wanted.source_id).collect()
    if found.is_empty():
        systems = scan_records(path).select("system").unique().collect().get_column("system").sort().to_list()
        raise UsageError(
            f"There is no record {wanted} in the last run.",
            f"Systems are: {', '.join(systems)}. Keys are as the source has them; a new record needs `membershift dedupe run`.",
        )
    return int(found.item(0, "record"))


def doubtful_pairs(
    folder: Path,
    pairs: pl.DataFrame,
    fields: Sequence[Field],
    *,
    show_personal: bool = False,
    answers: Mapping[tuple[RecordRef, RecordRef], Answer] | None = None,
) -> tuple[DoubtfulPair, ...]:
    """`pairs` (left, right, weight, reason) with what their records say, in the same order."""
    if pairs.is_empty():
        return ()
    numbers = pl.concat([pairs.get_column("left"), pairs.get_column("right")])
    records = {int(row["record"]): row for row in read_records_of(folder, numbers).iter_rows(named=True)}
    return tuple(
        doubtful_pair(records[row["left"]], records[row["right"]], row, fields, show_personal, answers or {})
        for row in pairs.iter_rows(named=True)
    )


def doubtful_pair(
    left: Mapping[str, object],
    right: Mapping[str, object],
    pair: Mapping[str, object],
    fields: Sequence[Field],
    show_personal: bool,
    answers: Mapping[tuple[RecordRef, RecordRef], Answer],
) -> DoubtfulPair:
    """One pair from its two records."""
    refs = ref_of(left), ref_of(right)
    weight = pair.get("weight")
    return DoubtfulPair(
        int(str(left["record"])),
        int(str(right["record"])),
        *refs,
        weight if isinstance(weight, float) else None,
        str(pair.get("reason") or ""),
        compare_facts(left, right, fields, show_personal),
        answers.get(refs),
    )


def ref_of(record: Mapping[str, object]) -> RecordRef:
    """The key of a row of records.parquet."""
    return RecordRef(str(record["system"]), str(record["source_id"]))


def compare_facts(
    left: Mapping[str, object], right: Mapping[str, object], fields: Sequence[Field], show_personal: bool
) -> tuple[Compared, ...]:
    """Every field that one of the two has, then when each was registered."""
    facts = []
    for field in fields:
        ours, theirs = value_of(left, field), value_of(right, field)
        if ours or theirs:
            left_shown, right_shown = (shown(value, field, show_personal) for value in (ours, theirs))
            facts.append(Compared(field.name, left_shown, right_shown, bool(ours) and ours == theirs))
    for name in ("registered_at", "updated_at"):
        left_day, right_day = (day_of(record.get(name)) for record in (left, right))
        if left_day or right_day:
            facts.append(Compared(name, left_day, right_day, left_day == right_day))
    return tuple(facts)


def value_of(record: Mapping[str, object], field: Field) -> str:
    """What a record says of a field, as text; empty when it says nothing.

    A field's first column is its value; the others say it in another way (pinyin, a masked id card), or are parts of it.
    """
    values = [str(value) for column in field.columns if (value := record.get(column)) not in (None, "")]
    if "address" in field.kind:
        return " ".join(values)
    return values[0] if values else ""


def shown(value: str, field: Field, show_personal: bool) -> str:
    """A value as people may see it: masked, unless they asked for more. Never a character that moves a cursor."""
    if not value:
        return ""
    clean = "".join(character if character.isprintable() else "?" for character in value)
    return clean if show_personal else mask(clean, personal_kind(field))


def personal_kind(field: Field) -> str:
    """The kind under which a field's values are masked, by what its own kind or name is called; else that of any text.

    >>> personal_kind(Field("tel", "phone", "tel", ("tel",), ())), personal_kind(Field("code", "id", "code", ("code",), ()))
    ('phone', 'text')
    """
    return next((kind for kind in PERSONAL if kind in field.kind or kind in field.name), "text")


def day_of(value: object) -> str:
    """The day of a time; empty for none."""
    return value.date().isoformat() if isinstance(value, datetime) else value.isoformat() if isinstance(value, date) else ""

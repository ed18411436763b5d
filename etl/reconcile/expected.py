"""What the target should hold: legacy rows, read anew from SQL Server, through the mapping and the crosswalk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import polars as pl
import pyarrow as pa

from etl.load.crosswalk import keep_ids
from etl.reconcile.claims import LINKS_SCHEMA, Claims, Links
from etl.reconcile.plan import LINK, PART, SOURCE, PartPlan, TablePlan, encode_keys
from etl.reconcile.streams import Background
from etl.source.extract import canonical_schema, select_statement

Lookup = Callable[[str, pl.Series], pl.Series]
"""From a system and its ids (String) to member ids (Int64), NULL where unknown: Crosswalk.lookup."""

Home = Callable[[str, pl.Series], pl.Series]
"""From a system and its ids to the merged member each belongs to, NULL for a member of one record: Registry.home."""

SYSTEM: Final = "__system"
"""Column of rows set aside: the system of the legacy record."""

REFUSED_SCHEMA: Final = pl.Schema({"source_key": pl.String(), SOURCE: pl.String(), "reason": pl.String()})


class ReadsArrow(Protocol):
    """The side of SQL Server that a comparison reads: etl.source.session.Session."""

    def arrow_batches(self, sql: str, schema: pa.Schema | None = None, batch_rows: int = ...) -> Iterator[pa.RecordBatch]: ...


@dataclass(frozen=True)
class ExpectedBatch:
    """Rows of one read of one part.

    `rows`: the table's columns, PART and SOURCE, and LINK for a table that defines members. `refused`: rows that the mapping
    makes no target row of (REFUSED_SCHEMA). `read`: source rows read. `aside`: rows of members that have several legacy records,
    under the id of their member and with SYSTEM; they are not among `rows`. `golden`: `rows` are golden records of such members.
    """

    part: PartPlan
    read: int
    rows: pl.DataFrame
    refused: pl.DataFrame
    links: Links | None
    aside: pl.DataFrame | None = None
    golden: bool = False


@dataclass(frozen=True)
class Expectation:
    """Makes target rows of legacy rows: the mapping with what it looks up. With `claims`, entries of the crosswalk that need not
    be looked at at once are claimed there. With `home`, rows of merged members are set aside."""

    plan: TablePlan
    lookup: Lookup
    claims: Claims | None = None
    home: Home | None = None

    def read(
        self, source: ReadsArrow, part: PartPlan, beside: Mapping[str, pl.DataFrame], batch_rows: int, where: str = ""
    ) -> Iterator[ExpectedBatch]:
        """Every row of a part, or those that `where` (T-SQL) selects, in the order of the source's key.

        `beside` are the part's lookup tables, from `read_lookups`.
        """
        sql, schema = select_statement(part.table, where), canonical_schema(part.table)
        # The server goes on while rows are transformed.
        with Background(lambda: source.arrow_batches(sql, schema, batch_rows), f"source {part.part.name}") as batches:
            for batch in batches:
                yield self.expect(part, pl.DataFrame(pl.from_arrow(batch)), beside)

    def expect(self, part: PartPlan, frame: pl.DataFrame, beside: Mapping[str, pl.DataFrame]) -> ExpectedBatch:
        """Transform one frame of legacy rows."""
        outcome = part.compiled.apply(frame, self.members(part, frame), beside)
        encoded = encode_keys(frame.select(part.part.key))
        kept = encoded if outcome.kept is None else encoded.filter(outcome.kept)
        extra = [pl.lit(part.number, pl.UInt8).alias(PART), kept.alias(SOURCE)]
        links, homes = None, None
        if outcome.links is not None:
            homes = self.homes(part, outcome.links["source_id"])
            extra.append(outcome.links["source_id"].alias(LINK))
            links = self.check_links(part, led_home(self.born_links(part, outcome.links, kept), homes), kept)
        elif self.plan.defines_members:
            extra.append(pl.lit(None, pl.String).alias(LINK))
        rows = with_all_columns(outcome.rows, self.plan).with_columns(extra)
        if self.plan.born is not None:
            rows = self.plan.born.blanked(self.plan.born.rekeyed(part, rows))
        return ExpectedBatch(
            part=part,
            read=frame.height,
            rows=rows if homes is None else rows.filter(homes.is_null()),
            refused=refused_rows(part, frame, encoded, outcome.kept, outcome.rejects),
            links=links,
            aside=None if homes is None else self.set_aside(part, rows, homes),
        )

    def homes(self, part: PartPlan, source_ids: pl.Series) -> pl.Series | None:
        """The merged member of each row of a part that defines members; None when none of them is merged."""
        system = part.part.defines_member
        if self.home is None or system is None:
            return None
        homes = self.home(system.name, source_ids)
        return None if homes.null_count() == len(homes) else homes

    def set_aside(self, part: PartPlan, rows: pl.DataFrame, homes: pl.Series) -> pl.DataFrame:
        """Rows of merged members, under their member's id."""
        system = part.part.defines_member
        assert system is not None, "only members are merged"
        (member_id,) = self.plan.key
        return rows.with_columns(
            homes.cast(self.plan.schema[member_id]).alias(member_id), pl.lit(system.name).alias(SYSTEM)
        ).filter(homes.is_not_null())

    def members(self, part: PartPlan, frame: pl.DataFrame) -> dict[str, pl.Series]:
        """Member ids for each reference of a part.

        A part that defines members keeps its own ids, or has those the crosswalk gave them; one that the crosswalk does not
        know gets a number below zero for now, so that its other values can be compared.
        """
        keys = part.compiled.member_keys(frame)
        ids: dict[str, pl.Series] = {}
        for reference in part.compiled.member_references:
            name, wanted = reference.target_column, keys[reference.target_column]
            if is_own_id(part, name) and ids_are_kept(part):
                ids[name] = keep_ids(wanted)
            elif is_own_id(part, name):
                ids[name] = with_placeholders(self.lookup(reference.system, wanted), wanted)
            else:
                ids[name] = self.lookup(reference.system, wanted)
        return ids

    def born_links(self, part: PartPlan, links: pl.DataFrame, encoded: pl.Series) -> pl.DataFrame:
        """Crosswalk entries as they should be: a record of a member born on the target leads there, whatever number it has."""
        members = None if self.plan.born is None else self.plan.born.members(part, encoded)
        return links if members is None else links.with_columns(pl.coalesce(members, links["member_id"]).alias("member_id"))

    def check_links(self, part: PartPlan, links: pl.DataFrame, encoded: pl.Series) -> Links:
        """Compare crosswalk entries with the members they should lead to."""
        system = part.part.defines_member
        assert system is not None, "only parts that define members have links"
        if self.claims is not None and ids_are_kept(part):
            open_rows = ~self.claims.add(part.number, links, encoded)
            links, encoded = links.filter(open_rows), encoded.filter(open_rows)
        if links.is_empty():
            return Links(0, pl.DataFrame(schema=LINKS_SCHEMA))
        found = self.lookup(system.name, links["source_id"])
        right = pl.when(pl.col("member_id") > 0).then(pl.col("member_id"))
        checked = links.select(pl.col("source_id").alias(LINK), encoded.alias(SOURCE), right.alias("right"), found.alias("found"))
        wrong = checked.filter(~pl.col("found").eq_missing(pl.col("right")) | pl.col("found").is_null())
        return Links(present=links.height - found.null_count(), wrong=wrong)


def led_home(links: pl.DataFrame, homes: pl.Series | None) -> pl.DataFrame:
    """Crosswalk entries as they should be: those of merged members lead there."""
    if homes is None:
        return links
    return links.with_columns(pl.coalesce(homes, links["member_id"]).alias("member_id"))


def is_own_id(part: PartPlan, target_column: str) -> bool:
    """Whether this column is the id of the very member that the row defines."""
    return part.part.defines_member is not None and target_column in part.part.target_key


def ids_are_kept(part: PartPlan) -> bool:
    """Whether members of this part keep their legacy id."""
    return part.part.defines_member is not None and part.part.defines_member.ids == "keep"


def with_placeholders(ids: pl.Series, keys: pl.Series) -> pl.Series:
    """Ids, with a number below zero where one is missing: the same for the same key."""
    if not ids.has_nulls():
        return ids
    below_zero = -1 - (pl.lit(keys.hash(seed=1)) // 4).cast(pl.Int64)
    return pl.select(pl.when(keys.is_not_null()).then(pl.coalesce(ids, below_zero))).to_series().alias(ids.name)


def read_lookups(source: ReadsArrow, part: PartPlan, batch_rows: int) -> dict[str, pl.DataFrame]:
    """The small tables that a part reads beside each row."""
    frames: dict[str, pl.DataFrame] = {}
    for name, table in part.lookups:
        schema = canonical_schema(table)
        batches = list(source.arrow_batches(select_statement(table), schema, batch_rows))
        frames[name] = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches, schema)))
    return frames


def with_all_columns(rows: pl.DataFrame, plan: TablePlan) -> pl.DataFrame:
    """The table's columns in their order and exact types; a column that only other parts fill is NULL.

    A cast that could change a value is a bug of the mapping's types, and is refused.
    """
    columns: list[pl.Expr] = []
    for name, dtype in plan.schema.items():
        if name not in rows.columns:
            columns.append(pl.lit(None, dtype).alias(name))
        elif rows.schema[name] == dtype:
            columns.append(pl.col(name))
        elif is_exact_cast(rows.schema[name], dtype):
            columns.append(pl.col(name).cast(dtype, strict=True))
        else:
            raise TypeError(f"{plan.target}.{name}: the mapping makes {rows.schema[name]}, the target holds {dtype}")
    return rows.select(columns)


def is_exact_cast(given: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether a strict cast either keeps every value as it is or fails.

    >>> is_exact_cast(pl.Boolean(), pl.Int8()), is_exact_cast(pl.Decimal(19, 4), pl.Decimal(12, 3))
    (True, False)
    """
    if wanted.is_integer():
        return given.is_integer() or given == pl.Boolean
    if isinstance(wanted, pl.Decimal):
        return given.is_integer() or (isinstance(given, pl.Decimal) and given.scale <= wanted.scale)
    return given == pl.Null or (given == pl.Float32 and wanted == pl.Float64)


def refused_rows(
    part: PartPlan, frame: pl.DataFrame, encoded: pl.Series, kept: pl.Series | None, rejects: pl.DataFrame
) -> pl.DataFrame:
    """Rows left out, each once, with its first reason."""
    if kept is None or rejects.is_empty():
        return pl.DataFrame(schema=REFUSED_SCHEMA)
    left_out = frame.filter(~kept)
    keys = pl.DataFrame({"source_key": part.compiled.source_keys(left_out), SOURCE: encoded.filter(~kept)})
    reasons = rejects.select("source_key", pl.format("{} ({})", "reason", pl.col("column_name").fill_null("")).alias("reason"))
    return keys.join(reasons.unique("source_key", keep="first"), on="source_key", how="left").select(list(REFUSED_SCHEMA))

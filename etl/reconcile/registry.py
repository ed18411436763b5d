"""Which legacy records deduplication joined into one member, at the instant of a comparison.

The registry is membershift.merge_event: the newest event of a record says which member it belongs to, or that it was taken out
again. Records of which it says nothing, but whose crosswalk entry is linked by 'dedupe', or whose member got a record from sync,
belong to the member this leads to. So an entry that leads elsewhere than the registry says is found, and told as wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from etl.load.crosswalk import DEDUPE
from etl.load.key_index import KeyIndex, KeyIndexBuilder
from etl.load.sql import sql
from etl.target.bulk import BulkConnection
from etl.target.errors import ServerError

NO_TABLE: Final = 1146
SINGLE: Final = 0
"""In place of a member id: the record was taken out of its member again."""

RECORD_SCHEMA: Final = pl.Schema({"system": pl.String(), "source_id": pl.String(), "member_id": pl.Int64()})
# What a run wrote counts once its entries of the crosswalk do.
EVENTS: Final = """\
FROM {state}.merge_event AS e LEFT JOIN {state}.dedupe_run AS r ON r.run_id = e.run_id
WHERE e.source_id <> '' AND e.kind IN ('create', 'merge', 'unmerge') AND (r.status IS NULL OR r.status IN ('moving', 'done'))"""
NEWEST_FIRST: Final = (
    "SELECT e.system, e.source_id, CASE e.kind WHEN 'unmerge' THEN 0 ELSE e.member_id END {events} ORDER BY e.event_id DESC"
)
# Sync gives a member further records (a card, an account) where the legacy side needs one: then it has several, as if merged.
LINKED: Final = """\
SELECT source, source_id, member_id FROM {schema}.member_source WHERE linked_by = %s OR member_id IN
    (SELECT member_id FROM {schema}.member_source WHERE linked_by = 'sync')"""
LONGEST: Final = """\
SELECT GREATEST(COALESCE((SELECT MAX(LENGTH(source_id)) FROM {state}.merge_event), 1),
    COALESCE((SELECT MAX(LENGTH(source_id)) FROM {schema}.member_source), 1))"""
READ_ROWS: Final = 100_000


def anything_merged(connection: BulkConnection, state_schema: str) -> bool:
    """Whether deduplication or sync ever joined anything on this target, which may be older than either."""
    try:
        if connection.query(sql("SELECT 1 FROM {state}.merge_event LIMIT 1", {"state": state_schema})):
            return True
        return bool(connection.query(sql("SELECT 1 FROM {state}.sync_position LIMIT 1", {"state": state_schema})))
    except ServerError as error:
        if error.number != NO_TABLE:
            raise
        return False


@dataclass
class Registry:
    """Merged members, read through one connection when first asked for: an index on disk for each system.

    May be used by several threads; `lock` keeps others off the connection meanwhile.
    """

    connection: BulkConnection
    schema: str
    state_schema: str
    folder: Path
    lock: threading.RLock

    def __post_init__(self) -> None:
        self._indexes: dict[str, KeyIndex] | None = None

    def home(self, system: str, keys: pl.Series) -> pl.Series:
        """The merged member that each legacy id belongs to: a Home."""
        with self.lock:
            if self._indexes is None:
                self._indexes = self._read()
            index = self._indexes.get(system)
        if index is None:
            return pl.Series(keys.name, [None] * len(keys), dtype=pl.Int64)
        found = index.lookup(keys)
        return pl.select(pl.when(found != SINGLE).then(found)).to_series().alias(keys.name)

    def records_of(self, members: pl.Series) -> pl.DataFrame:
        """Every legacy record (RECORD_SCHEMA) that belongs to one of these merged members."""
        wanted = pl.DataFrame({"member_id": members.cast(pl.Int64).unique()})
        found = [pl.DataFrame(schema=RECORD_SCHEMA)]
        with self.lock:
            found += [frame.join(wanted, on="member_id", how="semi") for frame in self._records()]
        records = pl.concat(found).unique(maintain_order=True)
        homes = [
            some.with_columns(self.home(str(system), some["source_id"]).alias("home"))
            for (system,), some in records.group_by("system", maintain_order=True)
        ]
        if not homes:
            return records
        return pl.concat(homes).filter(pl.col("home") == pl.col("member_id")).drop("home")

    def _read(self) -> dict[str, KeyIndex]:
        """An index for each system; of several records of one key, the first one counts."""
        width = int(self.connection.scalar(sql(LONGEST, {"state": self.state_schema, "schema": self.schema})))
        builders: dict[str, KeyIndexBuilder] = {}
        for frame in self._records():
            for (system,), some in frame.group_by("system", maintain_order=True):
                name = str(system)
                builder = builders.setdefault(name, KeyIndexBuilder(self.folder / f"merged-{name}", width))
                once = some.unique("source_id", keep="first", maintain_order=True)
                builder.add(once["source_id"], once["member_id"])
        indexes: dict[str, KeyIndex] = {}
        for name, builder in builders.items():
            with builder:
                indexes[name] = builder.finish()
        return indexes

    def _records(self) -> Iterator[pl.DataFrame]:
        """What is known of records, the newest first; the crosswalk last, which counts where nothing else is known."""
        events = sql(EVENTS, {"state": self.state_schema})
        yield from self.connection.read_frame(sql(NEWEST_FIRST, {}, events=events), RECORD_SCHEMA, batch_rows=READ_ROWS)
        linked = sql(LINKED, {"schema": self.schema})
        yield from self.connection.read_frame(linked, RECORD_SCHEMA, (DEDUPE,), batch_rows=READ_ROWS)

"""What deduplication is asked, decides and tells, as data: nothing here reads a file or a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from etl.settings import Engine

CLUSTER_SCHEMA: Final = pl.Schema({"record": pl.Int64(), "cluster": pl.Int64()})
PAIR_SCHEMA: Final = pl.Schema({"left": pl.Int64(), "right": pl.Int64(), "weight": pl.Float64(), "reason": pl.String()})

RunStatus = Literal["planned", "writing", "moving", "done", "abandoned"]
"""Of a row of dedupe_run. "writing": new rows are being put beside the old ones, which still count; "moving": the new crosswalk
counts, and rows of dependent tables are on their way to the survivors."""


@dataclass(frozen=True)
class DedupeRequest:
    """What to do. Without `execute` only the plan is made.

    `since`: only records changed since then (ISO time), or "last" for those the last run did not see, are matched against the
    registry. `by_whom` is written to merge_event. `engine`: None for the configured one.
    """

    execute: bool = False
    since: str | None = None
    by_whom: str = ""
    engine: Engine | None = None


@dataclass(frozen=True)
class Thresholds:
    """Weights (log2 Bayes factors) from which a pair is merged or asked about, and the most records a person may have."""

    match_weight: float
    review_weight: float
    largest_cluster: int


@dataclass(frozen=True)
class Clustering:
    """Who is one person.

    `clusters` (CLUSTER_SCHEMA): a row for each record of a cluster of two or more; all others stand alone. `review` and `refused`
    (PAIR_SCHEMA): pairs not merged, with the reason. `split`: groups that the limit of size took apart.
    """

    clusters: pl.DataFrame
    review: pl.DataFrame
    refused: pl.DataFrame
    split: int = 0

    @property
    def merged_records(self) -> int:
        """Records that share their person with another."""
        return self.clusters.height

    @property
    def persons(self) -> int:
        """Clusters of two or more records."""
        return self.clusters["cluster"].n_unique()


LINK_SCHEMA: Final = pl.Schema(
    {
        "record": pl.Int64(),
        "system": pl.String(),
        "source_id": pl.String(),
        "member_id": pl.Int64(),
        "from_member_id": pl.Int64(),
        "is_new": pl.Boolean(),
    }
)
RETIRED_SCHEMA: Final = pl.Schema({"member_id": pl.Int64(), "survivor": pl.Int64()})


@dataclass(frozen=True)
class MergePlan:
    """What the registry is to become.

    `links` (LINK_SCHEMA): every accepted record of every merged member, with the survivor's id, the id it leads to now (NULL:
    none) and whether that entry has to be written. `retired` (RETIRED_SCHEMA): ids on the target that end. `created`: survivors'
    ids that no member has yet. `to_split`: members that lie in several clusters now; they stay until `unmerge` takes them apart.
    """

    links: pl.DataFrame
    retired: pl.DataFrame
    created: pl.Series
    to_split: tuple[int, ...] = ()

    @property
    def members(self) -> int:
        """Merged members, changed or not."""
        return self.links["member_id"].n_unique()

    @property
    def new_links(self) -> pl.DataFrame:
        """Entries of the crosswalk to be written."""
        return self.links.filter("is_new")


LINEAGE_SCHEMA: Final = pl.Schema(
    {
        "member_id": pl.Int64(),
        "column_name": pl.String(),
        "rule": pl.String(),
        "system": pl.String(),
        "source_id": pl.String(),
    }
)


@dataclass(frozen=True)
class Golden:
    """`rows`: a row of the member table for each merged member, columns as given. `lineage` (LINEAGE_SCHEMA): where each
    value came from that is not the one of the member's first record."""

    rows: pl.DataFrame
    lineage: pl.DataFrame


@dataclass(frozen=True)
class WriteCounts:
    """What was written, or would be. `repointed`: rows of dependent tables that changed their member, by table."""

    links: int = 0
    members: int = 0
    retired: int = 0
    events: int = 0
    lineage: int = 0
    repointed: Mapping[str, int] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether the registry stays as it is."""
        return self.links == self.members == self.retired == 0


@dataclass(frozen=True)
class ArrivalCounts:
    """What became of arrivals. Of the `new` records `joined` came to somebody known, `merged_among` only to one another, `alone`
    to nobody, and `rejected` ones take no part. `changed` and `gone`: records known before. `waiting`: new ones in review."""

    new: int
    changed: int
    gone: int
    joined: int
    merged_among: int
    alone: int
    rejected: int
    waiting: int


@dataclass(frozen=True)
class DedupeResult:
    """One run. `records`: all that were read; `accepted`: those the mapping takes; `persons`: these less those merged away.

    `sizes`: merged members by number of records. `review`, `refused`: pairs by reason. `split`: groups the limit of size
    took apart. `to_split`: see MergePlan. `pairs_by_rule`: candidate pairs by blocking rule. `seconds`: time by step.
    `files`: what was saved in the state folder, by name. `arrivals`: what became of them, where only they were matched.
    """

    executed: bool
    records: int
    accepted: int
    systems: Mapping[str, int]
    persons: int
    merged_members: int
    merged_records: int
    sizes: Mapping[int, int]
    review: Mapping[str, int]
    refused: Mapping[str, int]
    split: int
    to_split: int
    written: WriteCounts
    model_name: str
    model_version: str
    model_sha: str
    pairs_by_rule: Mapping[str, int]
    seconds: Mapping[str, float]
    files: Mapping[str, Path]
    run_id: int | None = None
    notes: tuple[str, ...] = ()
    arrivals: ArrivalCounts | None = None

    @property
    def surplus_share(self) -> float:
        """Share of the accepted records' ids that go away: (accepted - persons) / accepted.

        Of what a person has too many of, this is what was found; what was not is only known from labels or a truth file.
        """
        return (self.accepted - self.persons) / self.accepted if self.accepted else 0.0


@dataclass(frozen=True)
class RunRow:
    """A row of dedupe_run. Times are UTC."""

    run_id: int
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None
    model_name: str
    model_version: str
    model_sha: str
    details: Mapping[str, Any]

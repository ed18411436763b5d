"""Wrong entries of the crosswalk, told from wrong members.

A legacy id that the crosswalk sends to the wrong member makes that member look changed, doubled or missing, and every sale
and ledger entry of it too. The data tells what is right: where the legacy row's values stand in another member's row, the
entry is wrong, not the members. Tables that refer to members are then compared through the corrected entries, so that one
wrong entry is one difference and not thousands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from etl.reconcile.claims import LINKS_SCHEMA
from etl.reconcile.expected import Lookup, ids_are_kept
from etl.reconcile.findings import Findings, Flags, Rows
from etl.reconcile.plan import LINK, PART, SOURCE, PartPlan, TablePlan

ROW: Final = "__row"


@dataclass(frozen=True)
class WrongLink:
    """The crosswalk sends `source_id` of `system` to member `found` (None: to none) instead of `right` (None: there is no
    telling). `merged`: the registry of deduplication says that it belongs to `right`, with other records."""

    part: PartPlan
    system: str
    source_id: str
    encoded_key: str
    right: int | None
    found: int | None
    merged: bool = False


@dataclass
class Corrections:
    """A crosswalk with wrong entries put right: a Lookup."""

    base: Lookup
    right: dict[str, dict[str, int]] = field(default_factory=dict)

    def correct(self, links: Sequence[WrongLink]) -> None:
        """From now on these entries lead where they should."""
        for link in links:
            if link.right is not None:
                self.right.setdefault(link.system, {})[link.source_id] = link.right

    def __call__(self, system: str, keys: pl.Series) -> pl.Series:
        """Member ids of legacy ids, NULL where unknown."""
        found = self.base(system, keys)
        right = self.right.get(system)
        if not right:
            return found
        known = pl.DataFrame({"k": list(right), "right": list(right.values())}, schema={"k": pl.String, "right": pl.Int64})
        corrected = keys.to_frame("k").join(known, on="k", how="left", maintain_order="left")["right"]
        return pl.select(pl.coalesce(corrected, found)).to_series().alias(found.name)


@dataclass(frozen=True)
class LinksFound:
    """Wrong entries, and findings without what they explain; `at_home` rows were taken for different and are equal to the row of
    the right member."""

    findings: Findings
    links: tuple[WrongLink, ...]
    at_home: int


def find_wrong_links(plan: TablePlan, findings: Findings, links: pl.DataFrame, quarantined: Flags) -> LinksFound:
    """Take out of `findings` what a wrong crosswalk entry explains.

    `links` are the entries that are not as they should be, or not there (LINKS_SCHEMA and PART).
    """
    moved = rows_elsewhere(plan, findings)
    links = without_unloaded(links, findings, quarantined)
    wrong = {(int(row[PART]), str(row[SOURCE])): row for row in links.iter_rows(named=True)}
    found: list[WrongLink] = []
    for row in moved.iter_rows(named=True):
        told = wrong.pop((int(row[PART]), str(row[SOURCE])), None)
        instead = told["found"] if told is not None else row["__expected_id"] if row["__expected_id"] > 0 else None
        found.append(link_of(plan.parts[row[PART]], row[LINK], row[SOURCE], row["__actual_id"], instead))
    for (number, encoded), row in wrong.items():
        if row["right"] is not None:
            found.append(link_of(plan.parts[number], row[LINK], encoded, row["right"], row["found"]))
    findings = findings if moved.is_empty() else without_moved(findings, moved)
    return LinksFound(findings, tuple(found), moved.height)


def without_unloaded(links: pl.DataFrame, findings: Findings, quarantined: Flags) -> pl.DataFrame:
    """A member that is not on the target rightly has no entry in the crosswalk: in quarantine, or missing, which is told
    already."""
    if links.is_empty():
        return links
    unknown = pl.col("found").is_null()
    if findings.missing.count > findings.missing.frame.height:  # so many that not all are kept to look at
        return links.filter(~unknown)
    links = links.filter(~(pl.lit(quarantined(links)) & unknown))
    if findings.missing.frame.is_empty():
        return links
    missing = findings.missing.frame.select(PART, SOURCE, pl.lit(True).alias("__missing"))
    marked = links.join(missing, on=[PART, SOURCE], how="left", maintain_order="left")
    return marked.filter(~(unknown & pl.col("__missing").fill_null(False))).drop("__missing")


def link_of(part: PartPlan, source_id: str, encoded: str, right: int | None, found: int | None) -> WrongLink:
    """A wrong entry of the part's system."""
    system = part.part.defines_member
    assert system is not None, "only members have crosswalk entries"
    return WrongLink(part, system.name, source_id, encoded, right, found)


def rows_elsewhere(plan: TablePlan, findings: Findings) -> pl.DataFrame:
    """Expected members without an equal under their id whose values another member's row holds, likewise without an equal.

    Columns PART, SOURCE, LINK, __expected_id, __actual_id, and where both stand (__from, __row, __from_actual, __row_actual).
    """
    allocated = [part.number for part in plan.parts if part.part.defines_member is not None and not ids_are_kept(part)]
    expected = stacked(findings, ("changed_expected", "missing", "duplicated_expected"))
    actual = stacked(findings, ("changed_actual", "extra", "duplicated_actual"))
    if not allocated or expected.is_empty() or actual.is_empty():
        return pl.DataFrame()
    (member_id,) = plan.key
    left = expected.filter(pl.col(PART).is_in(allocated)).rename({member_id: "__expected_id"})
    right = actual.rename({member_id: "__actual_id"}).select("__actual_id", *plan.compared, "__from", ROW)
    pairs = left.join(right, on=list(plan.compared), how="inner", nulls_equal=True, suffix="_actual")
    pairs = pairs.filter(pl.col("__expected_id") != pl.col("__actual_id"))
    pairs = pairs.unique(["__from", ROW], keep="first", maintain_order=True)
    return pairs.unique(["__from_actual", f"{ROW}_actual"], keep="first", maintain_order=True)


def stacked(findings: Findings, kinds: Sequence[str]) -> pl.DataFrame:
    """Kept rows of several kinds, with the kind and their place in it."""
    frames = [
        rows.frame.with_row_index(ROW).with_columns(pl.lit(kind).alias("__from"))
        for kind in kinds
        if not (rows := getattr(findings, kind)).frame.is_empty()
    ]
    return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()


def without_moved(findings: Findings, moved: pl.DataFrame) -> Findings:
    """Without rows that stand elsewhere. Of a changed pair, the half that is not explained stays: missing or extra."""
    away = taken(moved, "__from", ROW)
    home = taken(moved, "__from_actual", f"{ROW}_actual")
    expected_away = flags(findings.changed_expected, away.get("changed_expected"))
    actual_home = flags(findings.changed_actual, home.get("changed_actual"))
    untouched = ~(expected_away | actual_home)
    stays = findings.changed_expected.frame.filter(~expected_away & actual_home)
    alone = findings.changed_actual.frame.filter(expected_away & ~actual_home)
    missing = findings.missing.without(flags(findings.missing, away.get("missing")))
    extra = findings.extra.without(flags(findings.extra, home.get("extra")))
    return replace(
        findings,
        changed_expected=findings.changed_expected.without(~untouched),
        changed_actual=findings.changed_actual.without(~untouched),
        missing=with_more(missing, stays),
        extra=with_more(extra, alone),
        duplicated_expected=findings.duplicated_expected.without(
            flags(findings.duplicated_expected, away.get("duplicated_expected"))
        ),
        duplicated_actual=findings.duplicated_actual.without(flags(findings.duplicated_actual, home.get("duplicated_actual"))),
    )


def taken(moved: pl.DataFrame, kind: str, row: str) -> Mapping[str, list[int]]:
    """Row numbers by kind."""
    return {str(name): numbers for name, numbers in moved.group_by(kind).agg(pl.col(row)).iter_rows()}


def flags(rows: Rows, numbers: list[int] | None) -> pl.Series:
    """True at these row numbers."""
    flagged = pl.repeat(False, rows.frame.height, dtype=pl.Boolean, eager=True)
    return flagged.scatter(numbers, True) if numbers else flagged


def with_more(rows: Rows, frame: pl.DataFrame) -> Rows:
    """With rows that were of another kind."""
    if frame.is_empty():
        return rows
    return Rows(rows.count + frame.height, frame if rows.frame.is_empty() else pl.concat([rows.frame, frame]))


NO_LINKS: Final = pl.DataFrame(schema={**LINKS_SCHEMA, PART: pl.UInt8()})

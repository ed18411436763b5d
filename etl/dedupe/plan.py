"""What a run would look at: records of each system, what is odd about them, and the pairs each blocking rule makes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from etl.dedupe.blocking import count_rules
from etl.dedupe.database import open_database
from etl.dedupe.model import ComparisonSet, Limits, RuleCount, SystemCount
from etl.dedupe.read_model import open_model
from etl.dedupe.records import read_records
from etl.dedupe.vectors import open_records
from etl.mapping.load_mapping import load_mapping
from etl.personal_files import make_private_folder
from etl.progress import Progress
from etl.settings import Settings

COUNTED = "count pairs"


@dataclass(frozen=True)
class PlannedRule:
    """A blocking rule: the columns on which a pair must agree, and how many pairs do."""

    rule: str
    on: tuple[str, ...]
    pairs: int
    over_budget: bool


@dataclass(frozen=True)
class FilledColumn:
    """The share of accepted records that have a standardised value."""

    column: str
    share: float


@dataclass(frozen=True)
class DedupePlan:
    """Counts only. `remarks`: what is odd, as (code, subject, count). `match_weight`, `review_weight`: the thresholds."""

    model_name: str
    model_title: str
    systems: tuple[SystemCount, ...]
    filled: tuple[FilledColumn, ...]
    remarks: tuple[tuple[str, str, int], ...]
    rules: tuple[PlannedRule, ...]
    budget: int
    match_weight: float
    review_weight: float

    @property
    def records(self) -> int:
        """Records of all systems."""
        return sum(system.records for system in self.systems)

    @property
    def accepted(self) -> int:
        """Records that take part."""
        return sum(system.accepted for system in self.systems)

    @property
    def pairs(self) -> int:
        """Pairs of all rules, those that several find counted for each."""
        return sum(rule.pairs for rule in self.rules)

    @property
    def refused(self) -> tuple[PlannedRule, ...]:
        """Rules over the budget: a run would stop at them."""
        return tuple(rule for rule in self.rules if rule.over_budget)


def plan_dedupe(settings: Settings, progress: Progress) -> DedupePlan:
    """Standardise the staged records and count the pairs of each rule. Compares nothing, connects to nothing.

    Raises RefusedError when the member tables are not staged, ConfigurationError for a wrong comparison file.
    """
    comparison_set = open_model(settings.dedupe.model)
    folder = make_private_folder(settings.dedupe_dir / "plan")
    records = read_records(settings, load_mapping(settings.mapping, settings.config_dir), comparison_set, folder, progress)
    progress.start(COUNTED, len(comparison_set.blocking), "rules")
    counts = count_pairs(records.path, comparison_set, limits_of(settings))
    progress.finish(COUNTED)
    on = {rule.name: rule.on for rule in comparison_set.blocking}
    budget = settings.dedupe.pair_budget
    configured, own = settings.dedupe, comparison_set.thresholds
    return DedupePlan(
        comparison_set.name,
        comparison_set.title,
        records.systems,
        tuple(FilledColumn(column, share) for column, share in records.filled.items()),
        records.remarks,
        tuple(PlannedRule(count.rule, on[count.rule], count.pairs, count.pairs > budget) for count in counts),
        budget,
        own.match if configured.match_weight is None else configured.match_weight,
        own.review if configured.review_weight is None else configured.review_weight,
    )


def count_pairs(records: Path, comparison_set: ComparisonSet, limits: Limits) -> tuple[RuleCount, ...]:
    """The pairs of every rule, also of those over the budget."""
    with open_database(limits, records.parent) as connection:
        open_records(connection, records, comparison_set)
        return count_rules(connection, comparison_set.blocking)


def limits_of(settings: Settings) -> Limits:
    """What the engine may take, as configured."""
    dedupe = settings.dedupe
    threads = dedupe.threads or os.cpu_count() or 1
    return Limits(threads, f"{round(dedupe.memory_limit_gib * 1024)}MiB", dedupe.pair_budget)

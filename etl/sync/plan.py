"""Which tables are kept in step, how, and where their rows come from: the mapping compiled against both sides as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from etl.errors import ConfigurationError
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping
from etl.mapping.sync_rules import SyncRules
from etl.names import SourceTable
from etl.reconcile.plan import PartPlan, TablePlan, choose_tables, plan_tables, provenance, source_tables
from etl.settings import Settings
from etl.source.catalog import Catalog, Table, read_catalog
from etl.source.connect import Source
from etl.target.bulk import BulkConnection
from etl.target.columns import read_target_columns


@dataclass(frozen=True)
class SyncTable:
    """A target table with what keeps it in step. `plan.columns` are those that any part maps."""

    plan: TablePlan
    rules: SyncRules

    @property
    def name(self) -> str:
        """The target table."""
        return self.plan.target

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """Columns outside the key, in the order in which sync_base has their digests."""
        return self.plan.compared

    @cached_property
    def provenance(self) -> frozenset[str]:
        """Columns that only say where a row was born: of one born on the target, the target keeps its own."""
        return provenance(self.plan) - set(self.plan.key)

    def source(self, part: PartPlan) -> SourceTable:
        """The legacy table of one of its parts."""
        return part.part.source


@dataclass(frozen=True)
class SyncPlan:
    """Everything that is kept in step, parents before children. `catalog`: the legacy tables whole, not only their mapped
    columns."""

    settings: Settings
    mapping: Mapping
    catalog: Catalog
    tables: tuple[SyncTable, ...]

    @property
    def schema(self) -> str:
        """The business schema."""
        return self.settings.target.schema_name

    @property
    def state_schema(self) -> str:
        """Our own schema."""
        return self.settings.target.state_schema

    def table(self, name: str) -> SyncTable:
        """A target table by name. Raises KeyError."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)

    def legacy(self, part: PartPlan) -> Table:
        """The legacy table of a part, with all its columns."""
        return self.catalog.tables[part.part.source]

    @property
    def databases(self) -> tuple[str, ...]:
        """Legacy databases that any part reads, in order."""
        return tuple(dict.fromkeys(part.part.source.database for table in self.tables for part in table.plan.parts))

    def parts_of(self, database: str) -> tuple[tuple[SyncTable, PartPlan], ...]:
        """Parts whose rows are in a legacy database, parents before children."""
        return tuple((table, part) for table in self.tables for part in table.plan.parts if part.part.source.database == database)


def plan_sync(settings: Settings, source: Source, target: BulkConnection, tables: Sequence[str] = ()) -> SyncPlan:
    """Read what both sides look like. Raises ConfigurationError, SourceError, TargetError, UsageError for an unknown table."""
    mapping = load_mapping(settings.mapping, settings.config_dir)
    chosen = choose_tables(mapping, tables)
    catalog = read_catalog(source, settings.source.databases, source_tables(chosen))
    plans = plan_tables(mapping, catalog, read_target_columns(target, settings.target.schema_name), tables)
    found = tuple(SyncTable(plan, table.sync) for plan, table in zip(plans, chosen, strict=True))
    for table in found:
        check_keys(table)
    return SyncPlan(settings, mapping, catalog, found)


def check_keys(table: SyncTable) -> None:
    """Every legacy table has a key, or its changes could not be told apart. Raises ConfigurationError."""
    for part in table.plan.parts:
        if not part.table.key:
            raise ConfigurationError(
                f"{part.part.source} has no key: which of its rows changed cannot be known.",
                "Give it a primary key, or a unique index over columns that allow no NULL; or take its part out of the mapping.",
            )

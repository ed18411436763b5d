"""The rows of stores on the legacy side, as they lie there: proof of what SQL Server held when a store was switched.

They are never written back from here: what is to be put right there is put right by sync or by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from etl.names import bracket
from etl.progress import Progress
from etl.reconcile.plan import PartPlan
from etl.settings import Settings
from etl.source.catalog import Table
from etl.source.connect import Source, open_source
from etl.source.extract import canonical_schema, select_statement
from etl.source.ranges import literal
from etl.sync.compare_stores import legacy_store
from etl.sync.plan import SyncPlan, plan_sync
from etl.target.bulk import BulkConnection
from migrations.release.snapshots.encrypt import Key
from migrations.release.snapshots.files import write_rows
from migrations.release.snapshots.model import StoredFile
from migrations.release.snapshots.own_tables import SALE, SALE_KEY, SHARED


def export_legacy(
    settings: Settings, target: BulkConnection, stores: tuple[str, ...], folder: Path, key: Key | None, progress: Progress
) -> tuple[StoredFile, ...]:
    """Write the legacy rows of each store, table by table. Not one instant: SQL Server is asked gently, one table after another.

    Raises SourceError, ConfigurationError.
    """
    with open_source(settings.source, progress) as source:
        plan = plan_sync(settings, source, target)
        parts = [part for table in plan.tables if table.name not in SHARED for part in table.plan.parts]
        found = [(part, condition) for part in parts if (condition := belongs_to(plan, part)) is not None]
        return tuple(
            write_part(source, plan, part, condition, store, folder, key, settings.load.batch_rows)
            for store in stores
            for part, condition in found
        )


def write_part(
    source: Source,
    plan: SyncPlan,
    part: PartPlan,
    condition: Owned,
    store: str,
    folder: Path,
    key: Key | None,
    batch_rows: int,
) -> StoredFile:
    """One legacy table's rows of one store."""
    table = plan.legacy(part)
    schema = canonical_schema(table)
    where = condition.of(store)
    batches = source.arrow_batches(select_statement(table, where), batch_rows, schema, database=table.name.database)
    return write_rows(folder, "legacy", store, str(table.name), schema, (pa.Table.from_batches([one]) for one in batches), key)


@dataclass(frozen=True)
class Owned:
    """How a table's rows lead to their store: by a column of their own, or by that of the sale they belong to, through `sale_no`
    of theirs and `sale_key` of the sale's."""

    owner: Table
    column: str
    sale_no: str | None = None
    sale_key: str = ""

    def of(self, store: str) -> str:
        """T-SQL that selects a store's rows."""
        value = literal(self.owner.by_name[self.column], store.encode("utf-16-le"))
        if self.sale_no is None:
            return f"{bracket(self.column)} = {value}"
        sales = " ".join(("SELECT", bracket(self.sale_key), "FROM", self.owner.name.quoted))
        return f"{bracket(self.sale_no)} IN ({sales} WHERE {bracket(self.column)} = {value})"


def belongs_to(plan: SyncPlan, part: PartPlan) -> Owned | None:
    """How the rows of a legacy table lead to their store; None where they do not."""
    own = legacy_store(part)
    if own is not None:
        return Owned(plan.legacy(part), own)
    sale_no = legacy_column(part, SALE_KEY)
    if sale_no is None:
        return None
    for parent in plan.table(SALE).plan.parts:
        owner, parent_key = legacy_store(parent), legacy_column(parent, SALE_KEY)
        if parent.part.source.database == part.part.source.database and owner is not None and parent_key is not None:
            return Owned(plan.legacy(parent), owner, sale_no, parent_key)
    return None


def legacy_column(part: PartPlan, target_column: str) -> str | None:
    """The one legacy column that a target column comes from."""
    try:
        sources = part.part.column(target_column).sources
    except KeyError:
        return None
    return sources[0] if len(sources) == 1 and sources[0] in part.table.by_name else None

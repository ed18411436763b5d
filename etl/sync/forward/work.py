"""One part of the plan in one round: what its changes are read with."""

from __future__ import annotations

from dataclasses import dataclass

from etl.reconcile.by_key import LookupNow
from etl.reconcile.plan import PartPlan, TablePlan
from etl.source.session import Session
from etl.sync.forward.context import ForwardContext
from etl.sync.forward.transform import Lookups
from etl.sync.forward.versions import Head
from etl.sync.plan import SyncTable


@dataclass(frozen=True)
class Work:
    """`session` is at the round's instant, `head` what was read there first, `beside` the part's lookup tables."""

    context: ForwardContext
    session: Session
    head: Head
    table: SyncTable
    part: PartPlan
    beside: Lookups

    @property
    def plan(self) -> TablePlan:
        """The target table."""
        return self.table.plan

    @property
    def lookup(self) -> LookupNow:
        """The crosswalk as it is now."""
        return LookupNow(self.context.target, self.context.plan.schema)

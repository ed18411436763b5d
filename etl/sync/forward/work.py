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
    """`session` is at the round's instant, `head` what was read there first, `beside` the part's lookup tables. `again`: rows
    come that may not have changed at all."""

    context: ForwardContext
    session: Session
    head: Head
    table: SyncTable
    part: PartPlan
    beside: Lookups
    again: bool = False

    @property
    def plan(self) -> TablePlan:
        """The target table."""
        return self.table.plan

    @property
    def is_merged(self) -> bool:
        """Whether rows are merged with the target's. Members always are: several legacy rows may make one."""
        return self.table.rules.mode == "both" or self.part.part.defines_member is not None

    @property
    def page_rows(self) -> int:
        """Rows of one transaction of the target."""
        limits = self.context.limits
        return limits.member_rows if self.is_merged else limits.page_rows

    @property
    def lookup(self) -> LookupNow:
        """The crosswalk as it is now."""
        return LookupNow(self.context.target, self.context.plan.schema)

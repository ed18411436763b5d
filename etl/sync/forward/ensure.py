"""Members that rows refer to before sync has met them: brought in first, so that no order between tables matters."""

from __future__ import annotations

import polars as pl

from etl.sync.forward.both import apply_both
from etl.sync.forward.read_rows import as_changes
from etl.sync.forward.records import read_rows_by_key, work_on
from etl.sync.forward.work import Work


def ensure_members(work: Work, system: str, ids: pl.Series) -> None:
    """Read these members of a system by their legacy ids, and merge them in as if they had just changed. Those that the legacy
    side does not have stay unknown. Outside a transaction of the target."""
    for table in work.context.plan.tables:
        for part in table.plan.parts:
            known_by = part.part.defines_member
            if known_by is None or known_by.name != system:
                continue
            ((_, dtype),) = part.key_schema.items()
            usable = ids.filter(ids.cast(dtype, strict=False).is_not_null())
            with work_on(work.context, work, table, part) as there:
                frame = read_rows_by_key(there, usable)
                for some in frame.iter_slices(work.context.limits.member_rows):
                    apply_both(there, as_changes(there.part, some), None, None, None)

"""What comes after the rows: statistics, so that the target plans its queries by what the tables hold now."""

from __future__ import annotations

from collections.abc import Sequence

from etl.load.sql import sql
from etl.progress import Progress
from etl.settings import Settings
from etl.target.connect import connect_bulk


def analyze_tables(settings: Settings, tables: Sequence[str], progress: Progress) -> None:
    """ANALYZE each table. Raises ServerError."""
    names = tuple(dict.fromkeys(tables))
    progress.start("analyze", len(names), "tables")
    with connect_bulk(settings.target) as connection:
        for table in names:
            connection.query(sql("ANALYZE TABLE {schema}.{table}", {"schema": settings.target.schema_name, "table": table}))
            progress.advance("analyze", 1)
    progress.finish("analyze")

"""The columns of the tables as `schema up` makes them, for judging values before the target has them."""

from __future__ import annotations

import re

from etl.errors import TargetError
from etl.settings import TargetSettings
from etl.target.columns import TargetColumn, read_target_columns, with_type
from etl.target.connect import connect_bulk
from migrations.schema.model import ColumnModel
from migrations.schema.tables import TABLES

TYPE = re.compile(r"(?P<name>\w+)(?:\((?P<first>\d+)(?:,(?P<second>\d+))?\))?(?P<rest>.*)")


def planned_columns() -> dict[str, tuple[TargetColumn, ...]]:
    """Columns of each business table by its name, as `read_target_columns` gives those of a live target."""
    return {table.name: tuple(map(planned_column, table.columns)) for table in TABLES if table.role == "business"}


def planned_column(model: ColumnModel) -> TargetColumn:
    """One column of the model.

    >>> planned_column(ColumnModel("area", "decimal(9,2)", nullable=True)).scale
    2
    >>> planned_column(ColumnModel("name", "varchar(60)", nullable=False)).length
    60
    """
    found = TYPE.fullmatch(model.type_name)
    if found is None:
        raise ValueError(model.type_name)
    first = int(found["first"]) if found["first"] else None
    second = int(found["second"]) if found["second"] else None
    kind = found["name"]
    column = TargetColumn(
        name=model.name, kind="other", nullable=model.nullable, has_default=bool(model.default), type_name=model.type_name
    )
    decimal = kind == "decimal"
    return with_type(column, kind, None if decimal else first, first if decimal else None, second, None if decimal else first)


def known_columns(settings: TargetSettings) -> dict[str, tuple[TargetColumn, ...]]:
    """Columns of the live business schema; where there is none yet, or no target to ask, those that `schema up` will make."""
    try:
        with connect_bulk(settings.model_copy(update={"retries": 0}), database="") as connection:
            return read_target_columns(connection, settings.schema_name) or planned_columns()
    except TargetError:
        return planned_columns()

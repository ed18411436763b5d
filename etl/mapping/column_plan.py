"""One column of a part, made ready: which expressions give its value, and which say what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

import polars as pl

from etl.mapping.fit import DoesNotFit, Fit, fit
from etl.mapping.mistakes import mistake, unknown
from etl.mapping.model import ColumnMapping, MemberSystem
from etl.mapping.transforms.base import Input, Transform
from etl.mapping.transforms.registry import TRANSFORMS
from etl.source.extract import DAMAGED_SUFFIX
from etl.target.columns import TargetColumn

VALUE = "→"
"""Beginning of the name that a target column's value has while it stands beside the source columns."""


@dataclass(frozen=True)
class ColumnPlan:
    """`value` gives the column before it is fitted, NULL where there is none or it cannot be read; `fit` brings it to the
    target's type. `why` (it is NULL) and `remark` (it was changed) are asked on few rows only.

    `required`: NULL cannot be loaded. `flags`: (source column, staged column that says its text is damaged).
    """

    mapping: ColumnMapping
    target: TargetColumn
    value: pl.Expr
    fit: Fit
    why: pl.Expr | None
    suspects: pl.Expr | None
    remark: pl.Expr | None
    default: pl.Expr | None
    required: bool
    flags: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """Name of the value beside the source columns."""
        return VALUE + self.mapping.target

    @property
    def fitted(self) -> pl.Expr:
        """The value in the target's type, default filled in."""
        filled = self.fit.cast if self.default is None else self.fit.cast.fill_null(self.default)
        return filled.alias(self.mapping.target)


def plan_column(mapping: ColumnMapping, target: TargetColumn, staged: pl.Schema) -> ColumnPlan:
    """Make one column ready. Raises ConfigurationError with the mapping's line."""
    required = mapping.required or not target.nullable
    default = None if mapping.default is None else literal(mapping, mapping.default, target)
    if mapping.transform == "constant":
        value = literal(mapping, constant_of(mapping), target)
        return ColumnPlan(mapping, target, value, Fit(pl.col(VALUE + mapping.target)), None, None, None, None, required, ())
    transform = TRANSFORMS[mapping.transform]
    inputs = [read_input(mapping, transform, at, staged) for at in range(len(mapping.sources))]
    value = transform.build(inputs, mapping.args)
    there = pl.any_horizontal(given.expr.is_not_null() for given in inputs)
    done = pl.col(VALUE + mapping.target)
    if mapping.member is not None:
        known = Fit(done)
        value = value.cast(pl.String)
        why = pl.when(there & value.is_not_null()).then(pl.lit("unknown_member"))
        return ColumnPlan(mapping, target, value, known, why, None, None, default, required, flags_of(mapping, staged))
    return ColumnPlan(
        mapping,
        target,
        value,
        fit_column(mapping, value, target, staged),
        None if transform.why is None else pl.when(there).then(transform.why(inputs, mapping.args)),
        None if transform.suspects is None else transform.suspects(inputs, done, mapping.args),
        None if transform.remark is None else transform.remark(inputs, done, mapping.args),
        default,
        required,
        flags_of(mapping, staged),
    )


def system_key(system: MemberSystem, dtype: pl.DataType) -> pl.Expr:
    """A member's legacy id as the crosswalk writes it, from the system's own table."""
    return TRANSFORMS[system.canonical].build([Input(pl.col(system.key), dtype)], {}).cast(pl.String)


def read_input(mapping: ColumnMapping, transform: Transform, at: int, staged: pl.Schema) -> Input:
    """Source column number `at`, checked to be there and to be of a kind the transform reads."""
    name = mapping.sources[at]
    if name not in staged:
        columns = [column for column in staged if not column.endswith(DAMAGED_SUFFIX)]
        raise unknown(mapping.place, "source column", name, columns, f" for {mapping.target}")
    accepted = transform.accepts[min(at, len(transform.accepts) - 1)]
    given = Input(pl.col(name), staged[name])
    if given.kind not in accepted:
        fitting = [other.name for other in TRANSFORMS.values() if given.kind in other.accepts[0]]
        raise mistake(
            mapping.place,
            f"{mapping.target}: {transform.name!r} does not read {name}, which is {given.kind}; it reads {', '.join(accepted)}.",
            f"Transforms that read {given.kind}: {', '.join(sorted(fitting))}.",
        )
    return given


def fit_column(mapping: ColumnMapping, value: pl.Expr, target: TargetColumn, staged: pl.Schema) -> Fit:
    """Bring the value into the target's type, tried on no rows at all to learn its own."""
    try:
        given = pl.DataFrame(schema=staged).select(value.alias("value")).schema["value"]
        return fit(pl.col(VALUE + mapping.target), given, target)
    except pl.exceptions.PolarsError as error:
        raise mistake(
            mapping.place,
            f"{mapping.target}: {mapping.transform!r} cannot work on {', '.join(mapping.sources)}: {str(error).splitlines()[0]}.",
            "Use columns of one kind, or another transform.",
        ) from error
    except DoesNotFit as error:
        kind = target.type_name or target.kind
        raise mistake(
            mapping.place, f"{mapping.target} ({kind}): {error}.", "Correct `as`, or change the target column."
        ) from error


def flags_of(mapping: ColumnMapping, staged: pl.Schema) -> tuple[tuple[str, str], ...]:
    """(source column, its damage flag) for each source that has one."""
    return tuple((name, name + DAMAGED_SUFFIX) for name in mapping.sources if name + DAMAGED_SUFFIX in staged)


def constant_of(mapping: ColumnMapping) -> str | int | float | bool:
    """The value of a `value = ...` column."""
    value = mapping.args["value"]
    if isinstance(value, str | int | float | bool):
        return value
    raise mistake(mapping.place, f"{mapping.target}: a constant is a text, a number, true or false.", "Correct `value`.")


def literal(mapping: ColumnMapping, value: str | int | float | bool, target: TargetColumn) -> pl.Expr:
    """A default or constant as the target's type. Raises ConfigurationError when it does not fit there."""
    refused = mistake(
        mapping.place,
        f"{mapping.target}: {value!r} does not fit {target.type_name or target.kind}.",
        "Correct the value, or change the target column.",
    )
    try:
        read = read_literal(value, target)
    except (ValueError, InvalidOperation) as error:
        raise refused from error
    expr = pl.lit(read, dtype=target.polars_type())
    frame = pl.select(expr.alias(VALUE + mapping.target))
    checks = fit(pl.col(VALUE + mapping.target), target.polars_type(), target).checks
    if any(frame.select(check.fails.any()).item() for check in checks):
        raise refused
    return expr


def read_literal(value: str | int | float | bool, target: TargetColumn) -> object:
    """A value of the file as Python's type for the target. Raises ValueError or InvalidOperation."""
    match target.kind:
        case "integer":
            number = int(str(int(value) if isinstance(value, bool) else value))
            least, most = target.bounds
            if not least <= number <= most:
                raise ValueError(number)
            return number
        case "decimal":
            exact = Decimal(str(value))
            digits = (target.precision or 10) - (target.scale or 0)
            if exact != round(exact, target.scale or 0) or abs(exact) >= 10**digits:
                raise ValueError(exact)
            return exact
        case "float":
            return float(value)
        case "date":
            return date.fromisoformat(str(value))
        case "datetime":
            return datetime.fromisoformat(str(value))
        case "text" if isinstance(value, str):
            return value
        case _:
            raise ValueError(value)

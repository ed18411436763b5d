"""Read a comparison set: a TOML file, each mistake told with its line and the nearest valid name."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from etl.dedupe.model import RECORD, BlockingRule, Comparison, ComparisonSet, Field, Level, Thresholds
from etl.dedupe.standardise import KINDS
from etl.errors import ConfigurationError
from etl.mapping.mistakes import mistake, unknown
from etl.mapping.read_file import Table
from etl.mapping.toml_lines import find_lines

FILE_KEYS: Final = ("name", "version", "title", "thresholds", "crowds", "field", "derived", "comparison", "block", "train")
LEVEL_KEYS: Final = ("name", "when", "null", "m", "u", "rarity", "counted_on")
OTHERWISE: Final = "otherwise"


def open_model(name_or_path: str) -> ComparisonSet:
    """A comparison set that comes with the program, by name, or one of your own, by path. Raises ConfigurationError."""
    return read_model_file(
        builtin_model(name_or_path) if "/" not in name_or_path and "." not in name_or_path else Path(name_or_path)
    )


def builtin_model(name: str) -> Path:
    """The file of a comparison set that comes with the program. Raises ConfigurationError naming those there are."""
    folder = Path(str(resources.files("etl.dedupe") / "models"))
    path = folder / f"{name}.toml"
    if not path.exists():
        names = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        raise ConfigurationError(f"There is no comparison set {name!r}.", f"There are: {names}; or give the path of a file.")
    return path


def read_model_file(path: Path) -> ComparisonSet:
    """Read and check a comparison set. Raises ConfigurationError with the place of the first mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read.", "Check the path; the file must be UTF-8 text.") from error
    return parse_model(text, path)


def parse_model(text: str, path: Path) -> ComparisonSet:
    """A comparison set from its text; `path` is for messages."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {error}", "Correct that line.") from error
    table = Table(values, (), path, find_lines(text))
    table.allow("a comparison set", FILE_KEYS)
    fields = tuple(_field(one) for one in table.tables("field"))
    derived = tuple(_derived(one, _columns(fields)) for one in table.tables("derived"))
    columns = [*_columns(fields), *RECORD, *(name for name, _, _ in derived)]
    thresholds = table.table("thresholds")
    thresholds.allow("thresholds", ("match", "review"))
    return ComparisonSet(
        name=table.text("name"),
        version=int(_number(table, "version", 1)),
        title=table.text("title"),
        fields=fields,
        derived=derived,
        crowds=_crowds(table.table("crowds"), columns) if "crowds" in table.values else (),
        comparisons=tuple(_comparison(one, columns) for one in _some(table, "comparison")),
        blocking=tuple(_rule(one, columns) for one in _some(table, "block")),
        training=tuple(_rule(one, columns) for one in table.tables("train")),
        thresholds=Thresholds(match=_number(thresholds, "match", 4.0), review=_number(thresholds, "review", 0.0)),
        file=path,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        text=text,
    )


def _some(table: Table, key: str) -> list[Table]:
    found = list(table.tables(key))
    if not found:
        raise mistake(table.place(), f"there is no [[{key}]].", f"Write at least one [[{key}]].")
    return found


def _columns(fields: Iterable[Field]) -> list[str]:
    return [column for field in fields for column in field.columns]


def _field(table: Table) -> Field:
    table.allow("a field", ("name", "kind", "source"))
    name, kind = table.text("name"), table.one_of("kind", tuple(KINDS))
    columns = tuple(column.format(name) for column in KINDS[kind].columns)
    return Field(name, kind, table.text("source", name), columns, KINDS[kind].types)


def _derived(table: Table, columns: list[str]) -> tuple[str, str, str | None]:
    table.allow("a derived column", ("name", "of", "counts"))
    of = table.one_of("of", tuple(columns))
    return table.text("name"), of, table.one_of("counts", tuple(columns)) if "counts" in table.values else None


def _crowds(table: Table, columns: list[str]) -> tuple[tuple[str, int], ...]:
    table.allow("crowds", columns)
    return tuple((column, int(_number(table, column, 0))) for column in table.values)


def _rule(table: Table, columns: list[str]) -> BlockingRule:
    table.allow("a rule", ("name", "on", "where"))
    on = table.texts("on")
    for column in on:
        if column not in columns:
            raise unknown(table.place("on"), "column", column, columns)
    where = table.text("where") if "where" in table.values else None
    if where is not None:
        _check_sql(table, "where", where, {f"{side}.{column}" for column in columns for side in "lr"})
    return BlockingRule(table.text("name"), on, where)


def _comparison(table: Table, columns: list[str]) -> Comparison:
    table.allow("a comparison", ("name", "title", "personal_id", "level"))
    sided = {f"{column}_{side}" for column in columns for side in "lr"}
    levels: list[Level] = []
    used: dict[str, None] = {}
    for one in _some(table, "level"):
        levels.append(_level(one, columns))
        if levels[-1].sql != OTHERWISE:
            used.update(dict.fromkeys(name[:-2] for name in _check_sql(one, "when", levels[-1].sql, sided)))
    if [level.sql == OTHERWISE for level in levels] != [False] * (len(levels) - 1) + [True]:
        problem = f"the last level of {table.text('name')!r}, and no other, must be {OTHERWISE!r}."
        raise mistake(table.place(), problem, f'End with a level when = "{OTHERWISE}".')
    if sum(level.is_null for level in levels) != 1 or not levels[0].is_null:
        problem = f"the first level of {table.text('name')!r}, and no other, must say when a value is missing."
        raise mistake(table.place(), problem, "Begin with a level that has null = true.")
    return Comparison(table.text("name"), table.text("title"), tuple(levels), tuple(used), table.flag("personal_id"))


def _level(table: Table, columns: list[str]) -> Level:
    table.allow("a level", LEVEL_KEYS)
    counted = table.texts("counted_on", ())
    rarity = table.text("rarity") if "rarity" in table.values else None
    for key, named in (("counted_on", counted), ("rarity", (rarity,) if rarity else ())):
        for column in named:
            if column not in columns:
                raise unknown(table.place(key), "column", column, columns)
    shares = {key: _number(table, key, 0.0) for key in ("m", "u") if key in table.values}
    for key, share in shares.items():
        if not 0 < share < 1:
            raise mistake(table.place(key), f"{key} is a share of pairs.", "Write a number above 0 and below 1.")
    return Level(table.text("name"), table.text("when"), table.flag("null"), shares.get("m"), shares.get("u"), rarity, counted)


def _number(table: Table, key: str, default: float) -> float:
    value = table.values.get(key, default)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise mistake(table.place(key), f"{key} must be a number.", f"Write {key} = {default:g}, without quotes.")
    return float(value)


def _check_sql(table: Table, key: str, sql: str, columns: Iterable[str]) -> list[str]:
    """The columns that an expression names, in order; refuse what is no expression, and columns that are not there."""
    from sqlglot.errors import SqlglotError

    try:
        named = _named_columns(sql)
    except SqlglotError as error:
        raise mistake(table.place(key), f"{key} is no SQL expression.", "Write a condition in DuckDB's SQL.") from error
    known = set(columns)
    for name in named:
        if name not in known:
            raise unknown(table.place(key), "column", name, known)
    return list(named)


@cache
def _named_columns(sql: str) -> tuple[str, ...]:
    """The columns that an expression names; a comparison set is read twice in a run, from its own file and from the model's."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, dialect="duckdb")
    return tuple(".".join(part.name for part in column.parts) for column in tree.find_all(exp.Column))

"""A [[part]] of a mapping file as a Part: names are checked here, columns of source and target when it is compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from etl.mapping.mistakes import mistake, unknown
from etl.mapping.model import Argument, ColumnMapping, Lookup, MemberSystem, OnBad, Part, RejectRule
from etl.mapping.read_file import Table
from etl.mapping.transforms.base import ArgumentSpec, Transform
from etl.mapping.transforms.registry import TRANSFORMS
from etl.mapping.transforms.zones import known_zone
from etl.masking import PERSONAL_KINDS

COLUMN_KEYS: Final = ("from", "as", "value", "member", "personal", "required", "default", "on_bad")
PART_KEYS: Final = ("name", "source", "key", "members", "columns", "reject", "lookup")


@dataclass(frozen=True)
class Shared:
    """What mapping.toml says for all parts."""

    systems: Mapping[str, MemberSystem]
    time_zone: str
    sentinels: tuple[str, ...]


def read_part(table: Table, target: str, target_key: tuple[str, ...], shared: Shared) -> Part:
    """One part. Raises ConfigurationError with the line."""
    table.allow("a part", PART_KEYS)
    columns = table.table("columns")
    if not columns.values:
        raise mistake(table.place(), "a part needs columns.", "Write [part.columns] and a line for each target column.")
    part = Part(
        name=f"{target}/{table.text('name')}",
        target=target,
        source=table.source_table("source"),
        key=table.texts("key"),
        target_key=target_key,
        columns=tuple(read_column(columns, name, shared) for name in columns.values),
        place=table.place(),
        rejects=tuple(read_rule(rule) for rule in table.tables("reject")),
        lookups=tuple(read_lookup(lookup) for lookup in table.tables("lookup")),
        defines_member=read_members(table, shared),
    )
    check_part(part, table)
    return part


def read_members(table: Table, shared: Shared) -> MemberSystem | None:
    """The system whose members the part's rows are."""
    if "members" not in table.values:
        return None
    name = table.text("members")
    if name not in shared.systems:
        raise unknown(table.place("members"), "member system", name, shared.systems)
    return shared.systems[name]


def check_part(part: Part, table: Table) -> None:
    """What must hold between the keys and columns of a part."""
    mapped = {column.target: column for column in part.columns}
    for key in part.target_key:
        if key not in mapped:
            raise mistake(part.place, f"{part.name} does not map {key}, a key of {part.target}.", f"Add a line for {key}.")
    if part.defines_member is not None:
        check_members(part, part.defines_member, mapped, table)


def check_members(part: Part, system: MemberSystem, mapped: Mapping[str, ColumnMapping], table: Table) -> None:
    """A part that defines members reads their table, and takes or looks up their ids as the system says."""
    if system.table != part.source:
        problem = f"{system.name} members are in {system.table}, not in {part.source}."
        raise mistake(table.place("members"), problem, "Correct one of the two.")
    if system.since not in mapped:
        raise unknown(system.place, "target column", system.since, mapped, f" in `since` for {part.name}")
    ids = mapped.get("member_id")
    wanted = system.name if system.ids == "allocate" else None
    if ids is None or ids.member != wanted or ids.sources != (system.key,):
        line = f'member = "{system.name}", from = "{system.key}"' if wanted else f'from = "{system.key}", as = "integer"'
        problem = f"{part.name} defines {system.name} members, whose ids are to {system.ids}."
        raise mistake(part.place if ids is None else ids.place, problem, f"Write member_id = {{ {line} }}.")


def read_rule(table: Table) -> RejectRule:
    """A [[part.reject]]."""
    table.allow("a reject rule", ("code", "column", "when"))
    code = table.text("code")
    if len(code) > 40:
        raise mistake(table.place("code"), "the code of a reject rule has at most 40 characters.", "Shorten it.")
    return RejectRule(code, table.text("column", "*"), table.text("when"), table.place())


def read_lookup(table: Table) -> Lookup:
    """A [[part.lookup]]."""
    table.allow("a lookup", ("name", "table", "on"))
    pairs = table.table("on")
    if not pairs.values or not all(isinstance(value, str) for value in pairs.values.values()):
        raise mistake(table.place("on"), "a lookup needs `on`.", "Write on = { ColumnHere = ColumnThere }, both in quotes.")
    source = table.source_table("table")
    return Lookup(table.text("name", source.name), source, tuple(pairs.values.items()), table.place())


def read_column(columns: Table, target: str, shared: Shared) -> ColumnMapping:
    """One line of [part.columns]; a text alone is `from`."""
    written = columns.values[target]
    values = {"from": written} if isinstance(written, str) else written
    place = columns.place(target)
    if not isinstance(values, dict):
        raise mistake(place, f"{target} must be a source column or a table.", f'Write {target} = {{ from = "...", as = "..." }}.')
    line = Table(values, (*columns.path, target), columns.file, columns.lines)
    if "value" in values:
        line.allow(f"{target}, which has a value", ("value",))
        return ColumnMapping(target, (), "constant", {"value": values["value"]}, place)
    if "member" in values:
        return read_member(line, target, shared)
    transform = find_transform(line)
    line.allow(f"{target}, as {transform.name!r}", (*COLUMN_KEYS, *transform.args))
    sources = line.texts("from")
    least, most = transform.sources
    if not least <= len(sources) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        raise mistake(
            line.place("from"), f"{transform.name!r} takes {count} source columns, not {len(sources)}.", "Correct `from`."
        )
    personal = line.one_of("personal", (*PERSONAL_KINDS, "no"), transform.personal or "no")
    return ColumnMapping(
        target=target,
        sources=sources,
        transform=transform.name,
        args={name: read_argument(line, name, spec, shared) for name, spec in transform.args.items()},
        place=place,
        personal=None if personal == "no" else personal,
        required=line.flag("required"),
        default=read_default(line),
        on_bad=read_on_bad(line, transform.on_bad),
    )


def read_member(line: Table, target: str, shared: Shared) -> ColumnMapping:
    """A column that holds a member id: { member = "pos", from = "CardNo" }."""
    line.allow(f"{target}, a member id", ("member", "from", "required", "on_bad", "personal"))
    name = line.text("member")
    if name not in shared.systems:
        raise unknown(line.place(), "member system", name, shared.systems, f" for {target}")
    personal = line.one_of("personal", (*PERSONAL_KINDS, "no"), "no")
    return ColumnMapping(
        target=target,
        sources=(line.text("from"),),
        transform=shared.systems[name].canonical,
        args={},
        place=line.place(),
        personal=None if personal == "no" else personal,
        required=line.flag("required"),
        on_bad=read_on_bad(line, "reject"),
        member=name,
    )


def find_transform(line: Table) -> Transform:
    """The transform named in `as`; without one the value is copied."""
    name = line.text("as", "copy")
    if name not in TRANSFORMS:
        raise unknown(line.place("as"), "transform", name, TRANSFORMS)
    return TRANSFORMS[name]


def read_on_bad(line: Table, default: OnBad) -> OnBad:
    """What to do with a value that cannot be read."""
    return "null" if line.one_of("on_bad", ("reject", "null"), default) == "null" else "reject"


def read_default(line: Table) -> str | int | float | bool | None:
    """What a missing value becomes."""
    value = line.values.get("default")
    if value is not None and not isinstance(value, str | int | float | bool):
        raise mistake(line.place("default"), "default must be a text, a number, true or false.", "Correct it.")
    return value


def read_argument(line: Table, name: str, spec: ArgumentSpec, shared: Shared) -> Argument:
    """One argument, of the right type; zone and sentinels are the mapping's unless the line has its own."""
    common: dict[str, Argument] = {"zone": shared.time_zone, "sentinels": shared.sentinels}
    value: Any = line.values.get(name, common.get(name, spec.default))
    match spec.type:
        case "text" if isinstance(value, str):
            if spec.choices and value not in spec.choices:
                raise unknown(line.place(), f"value of {name}", value, spec.choices)
            if name == "zone" and not known_zone(value):
                raise mistake(
                    line.place(), f"unknown time zone {value!r}.", "Write one of the tz database, such as Asia/Shanghai."
                )
            return value
        case "whole number" if isinstance(value, int) and not isinstance(value, bool):
            return value
        case "yes or no" if isinstance(value, bool):
            return value
        case "list of texts" if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        case "table of texts" if isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values()):
            return {str(key): str(item) for key, item in value.items()}
    what = "is missing" if value is None else f"must be a {spec.type}"
    raise mistake(line.place(), f"{name} {what}: {spec.meaning}.", f"Correct {name}.")

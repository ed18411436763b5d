"""Draft a mapping for any schema: a folder that load_mapping reads, one file for each table, and the SQL of its target tables.

A draft is where a person starts: every column is there with a transform that loses nothing, personal ones are marked by their
names, and what cannot be moved is said. Members of several systems are one decision no draft can take (docs/mappings.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.assess.personal_names import personal_kind
from etl.assess.relations import Relation, find_relations
from etl.errors import ConfigurationError
from etl.mapping.types import target_type_for
from etl.names import SourceTable, backtick
from etl.personal_files import disk_error
from etl.settings import Settings
from etl.source.catalog import Column, Table, read_catalog
from etl.source.connect import open_source

WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\s.\-]+")
BY_PERSON: Final = {"phone": "phone", "email": "email", "name": "name", "address": "address", "id_card": "id_card"}
"""Transform by what a text says about a person; each marks its column as personal."""
LEAST_LENGTH: Final = {"phone": 20, "id_card": 18}
SENTINELS: Final = '["1900-01-01", "9999-12-31"]'
DEFAULT_OF: Final = "utf8mb4 COLLATE utf8mb4_bin"


@dataclass(frozen=True)
class DraftFile:
    """One file of a draft."""

    name: str
    text: str


@dataclass(frozen=True)
class Draft:
    """A drafted mapping. `keyless` tables are left out: a mapping needs a key, `load --as-is` does not."""

    files: tuple[DraftFile, ...]
    tables: tuple[SourceTable, ...]
    keyless: tuple[SourceTable, ...]


def draft_mapping_of(settings: Settings, tables: Sequence[str] | None, folder: Path) -> Draft:
    """Read the catalog of the source, of `tables` alone when given, and write a draft into `folder`.

    Raises SourceError, UsageError for an unknown table, ConfigurationError when the folder is not empty.
    """
    with open_source(settings.source) as source:
        wanted = None if not tables else [SourceTable.parse(text) for text in tables]
        catalog = read_catalog(source, settings.source.databases, wanted)
    draft = draft_mapping(catalog.tables, folder.resolve().name)
    write_draft(draft, folder)
    return draft


def draft_mapping(tables: Mapping[SourceTable, Table], name: str) -> Draft:
    """The files of a mapping for `tables`. Pure: writes nothing."""
    relations = find_relations(tables)
    keyed = {table: entry for table, entry in tables.items() if has_usable_key(entry)}
    targets = name_targets(list(keyed))
    order = parents_first(
        list(keyed), [relation for relation in relations if relation.parent in keyed and relation.child in keyed]
    )
    pointing = {(relation.child, column) for relation in relations for column in relation.columns}
    keyless = tuple(table for table in tables if table not in keyed)
    files = [
        DraftFile("mapping.toml", shared_file(name, [targets[table] for table in order], keyless)),
        *(DraftFile(f"{targets[table]}.toml", table_file(keyed[table], targets[table], pointing)) for table in order),
        DraftFile("tables.sql", "\n\n".join(create_table(keyed[table], targets[table]) for table in order) + "\n"),
    ]
    return Draft(tuple(files), tuple(order), keyless)


def has_usable_key(table: Table) -> bool:
    """Whether rows have a key that can be moved; one with a computed column or a rowversion in it cannot."""
    return bool(table.key) and all(target_type_for(table.by_name[name]).ddl is not None for name in table.key)


def write_draft(draft: Draft, folder: Path) -> None:
    """Write a draft into a new or empty folder. Raises ConfigurationError rather than write over a mapping somebody edited."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(
                f"{folder} is not empty.", "Name a folder that is not there yet: a draft never writes over files."
            )
        for file in draft.files:
            (folder / file.name).write_text(file.text, "utf-8")
    except OSError as error:
        raise disk_error(error, folder) from error


def name_targets(tables: Sequence[SourceTable]) -> dict[SourceTable, str]:
    """Names of target tables: the table's own, with database and schema before it only where names meet.

    >>> a, b = SourceTable("crm", "dbo", "Member"), SourceTable("pos", "dbo", "Member")
    >>> name_targets([a, b])[a], name_targets([a])[a]
    ('crm_member', 'member')
    """
    short = {table: snake(table.name) for table in tables}
    longer = {table: f"{snake(table.database)}_{short[table]}" for table in tables}
    names: dict[SourceTable, str] = {}
    for table in tables:
        alone = sum(other == short[table] for other in short.values()) == 1 and short[table] != "mapping"
        longer_alone = sum(other == longer[table] for other in longer.values()) == 1
        full = f"{snake(table.database)}_{snake(table.schema)}_{short[table]}"
        names[table] = short[table] if alone else longer[table] if longer_alone else full
    return names


def snake(name: str) -> str:
    """A name as the target writes it.

    >>> snake("PosMember"), snake("MemberID"), snake("手机号"), snake("UTM Source")
    ('pos_member', 'member_id', '手机号', 'utm_source')
    """
    return re.sub(r"\W+", "_", "_".join(part for part in WORDS.split(name) if part)).strip("_").lower() or "unnamed"


def parents_first(tables: Sequence[SourceTable], relations: Sequence[Relation]) -> list[SourceTable]:
    """Tables such that each stands behind those its rows point at; where they point at each other, by name."""
    waiting = {table: {r.parent for r in relations if r.child == table and r.parent != table} for table in sorted(tables)}
    ordered: list[SourceTable] = []
    while waiting:
        free = [table for table, parents in waiting.items() if not parents & waiting.keys()]
        for table in free or [next(iter(waiting))]:
            ordered.append(table)
            del waiting[table]
    return ordered


def shared_file(name: str, targets: Sequence[str], keyless: Sequence[SourceTable]) -> str:
    """mapping.toml."""
    lines = [
        "# Drafted by `membershift assess --draft-mapping`: a start, to be read and corrected before use.",
        "# tables.sql has the target tables it writes to. Where ids of members meet, add [members.<system>].",
        f"name = {quote(name)}",
        "",
        "# One file for each target table, parents before children.",
        "tables = [",
        *(f"    {quote(target)}," for target in targets),
        "]",
        "",
        '# Dates that stand for "none" wherever a date or a time is read.',
        f"sentinels = {SENTINELS}",
    ]
    if keyless:
        lines += ["", "# Without a key, so not mapped; move them with `membershift load --as-is TABLE`:"]
        lines += [f"#   {table}" for table in keyless]
    return "\n".join(lines) + "\n"


def table_file(table: Table, target: str, pointing: set[tuple[SourceTable, str]]) -> str:
    """The file of one target table with its one part."""
    names = column_names(table)
    key = ", ".join(quote(names[column]) for column in table.key)
    source_key = ", ".join(quote(column) for column in table.key)
    lines = [
        f"target = {quote(target)}",
        f"key = [{key}]",
        "",
        "[[part]]",
        f"name = {quote(snake(table.name.database))}",
        f"source = {quote(str(table.name))}",
        f"key = [{source_key}]",
        "",
        "[part.columns]",
    ]
    for column in table.columns:
        exact = column.name in table.key or (table.name, column.name) in pointing
        lines += column_lines(table, column, names[column.name], exact=exact)
    return "\n".join(lines) + "\n"


def column_names(table: Table) -> dict[str, str]:
    """Target column names by source column, each different."""
    names: dict[str, str] = {}
    for column in table.columns:
        name, number = snake(column.name)[:60], 2
        while name in names.values():
            name, number = f"{snake(column.name)[:57]}_{number}", number + 1
        names[column.name] = name
    return names


def column_lines(table: Table, column: Column, target: str, *, exact: bool) -> Iterator[str]:
    """The line of one column, with the type it has and the one it gets. `exact`: other rows refer to the value."""
    ddl = drafted_type(table, column)
    if ddl is None:
        yield f"# left out: {column.name}, {target_type_for(column).refusal}"
        return
    transform, options = transform_of(table, column, exact=exact)
    required = "" if column.nullable else ", required = true"
    yield f"# {described(column)} -> {ddl}"
    yield f"{key_text(target)} = {{ from = {quote(column.name)}, as = {quote(transform)}{options}{required} }}"
    for name, beside in target_type_for(column).beside:
        yield f"# minutes east of UTC -> {beside}"
        yield f'{key_text(beside_name(target, column, name))} = {{ from = {quote(name)}, as = "integer" }}'


def beside_name(target: str, column: Column, name: str) -> str:
    """The target column of what is staged beside a column: "Seen__offset" beside "seen" is "seen_offset"."""
    return f"{target}_{name.removeprefix(column.name).strip('_')}"


def transform_of(table: Table, column: Column, *, exact: bool) -> tuple[str, str]:
    """The transform of a column, and the options behind it."""
    kind = personal_kind(column.name, table.name.name)
    by_type = target_type_for(column)
    if by_type.transform == "text" and exact:
        return "copy", personal_option(kind)
    if by_type.transform == "text" and kind in BY_PERSON:
        return BY_PERSON[kind], ""
    return by_type.transform, (
        ", multiline = true" if by_type.multiline and by_type.transform == "text" else ""
    ) + personal_option(kind)


def personal_option(kind: str | None) -> str:
    """The mark of a personal column whose transform does not bring it."""
    return "" if kind is None else f", personal = {quote(kind)}"


def create_table(table: Table, target: str) -> str:
    """CREATE TABLE of one target table. Secondary indexes are for the person who knows the queries."""
    names = column_names(table)
    lines: list[str] = []
    for column in table.columns:
        ddl = drafted_type(table, column)
        if ddl is not None:
            lines.append(f"  {backtick(names[column.name])} {ddl}{'' if column.nullable else ' NOT NULL'}")
        for name, beside in target_type_for(column).beside:
            lines.append(f"  {backtick(beside_name(names[column.name], column, name))} {beside}")
    lines.append(f"  PRIMARY KEY ({', '.join(backtick(names[column]) for column in table.key)})")
    body = ",\n".join(lines)
    return f"-- {table.name}\nCREATE TABLE {backtick(target)} (\n{body}\n) DEFAULT CHARSET = {DEFAULT_OF};"


def drafted_type(table: Table, column: Column) -> str | None:
    """The type of a target column, long enough for what its transform writes: E.164 adds a country code, 15 digits become 18."""
    kind = target_type_for(column).ddl
    least = LEAST_LENGTH.get(personal_kind(column.name, table.name.name) or "", 0)
    found = re.fullmatch(r"VARCHAR\((\d+)\)", kind or "")
    return f"VARCHAR({max(int(found[1]), least)})" if found else kind


def described(column: Column) -> str:
    """A source column's type as T-SQL writes it, near enough to read."""
    match column.type_name:
        case "decimal" | "numeric":
            return f"{column.type_name}({column.precision},{column.scale})"
        case "char" | "varchar" | "binary" | "varbinary":
            return f"{column.type_name}({'max' if column.max_length < 0 else column.max_length})"
        case "nchar" | "nvarchar":
            return f"{column.type_name}({'max' if column.max_length < 0 else column.max_length // 2})"
        case other:
            return other


def key_text(name: str) -> str:
    """A TOML key, bare where it may be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quote(name)


def quote(text: str) -> str:
    """A TOML basic string; JSON's escapes are all TOML's."""
    return json.dumps(text, ensure_ascii=False)

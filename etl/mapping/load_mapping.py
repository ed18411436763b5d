"""Read a mapping: a folder of TOML files, your own or one that comes with the program."""

from __future__ import annotations

import hashlib
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final, cast

from etl.errors import ConfigurationError
from etl.mapping.mistakes import mistake, unknown
from etl.mapping.model import Mapping, MemberSystem, Part, TableMapping
from etl.mapping.read_file import Table, read_file
from etl.mapping.read_part import Shared, read_part
from etl.mapping.sync_rules import CAPTURES, MODES, RULES, Capture, Mode, Rule, SyncRules
from etl.mapping.transforms.zones import known_zone
from etl.settings import MappingSettings

SHARED_FILE: Final = "mapping.toml"
CANONICAL: Final = ("code", "integer", "guid", "text", "upper", "lower")


def load_mapping(settings: MappingSettings, base: Path | None = None) -> Mapping:
    """The whole mapping that `settings` names; a relative path starts at `base`, else at the working folder.

    Raises ConfigurationError with file, line and the nearest valid name. Connects to nothing: columns of source and target are
    checked by compile_part.
    """
    folder = find_folder(settings.path, base)
    files = {path.name: path for path in sorted(folder.glob("*.toml"))}
    texts = {name: read_text(path) for name, path in files.items()}
    shared_table = read_file(files[SHARED_FILE], texts[SHARED_FILE])
    shared = read_shared(shared_table, settings)
    order = ordered_files(shared_table, set(files) - {SHARED_FILE})
    tables = tuple(read_table(read_file(files[name], texts[name]), shared) for name in order)
    check_systems(tables, shared)
    return Mapping(
        name=shared_table.text("name", folder.name),
        folder=folder,
        time_zone=shared.time_zone,
        sentinels=shared.sentinels,
        systems=shared.systems,
        tables=tables,
        fingerprint=fingerprint(texts, shared.time_zone),
    )


def find_folder(path: str, base: Path | None) -> Path:
    """The folder of a mapping: one that comes with the program when `path` is its bare name, else a folder of yours."""
    packaged = Path(str(resources.files("etl.mapping")))
    ours = sorted(file.parent.name for file in packaged.glob(f"*/{SHARED_FILE}"))
    if path in ours:
        return packaged / path
    folder = (base or Path()) / Path(path).expanduser()
    if (folder / SHARED_FILE).is_file():
        return folder
    problem = f"{folder} has no {SHARED_FILE}" if folder.is_dir() else f"there is no folder {folder}"
    raise ConfigurationError(
        f"No mapping {path!r}: {problem}.",
        f"Set [mapping] path to a folder with mapping files, or to one that comes with the program: {', '.join(ours)}.",
    )


def read_text(path: Path) -> str:
    """The text of a mapping file. Raises ConfigurationError."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.", "Check its permissions and that it is UTF-8.") from error


def read_shared(table: Table, settings: MappingSettings) -> Shared:
    """mapping.toml: sentinels and member systems; the time zone is membershift.toml's."""
    table.allow(SHARED_FILE, ("name", "tables", "sentinels", "members"))
    if not known_zone(settings.time_zone):
        problem = f"[mapping] time_zone: {settings.time_zone!r} is no time zone."
        raise ConfigurationError(problem, "Write one of the tz database, such as Asia/Shanghai.")
    sentinels = table.texts("sentinels", ())
    for day in sentinels:
        try:
            date.fromisoformat(day)
        except ValueError as error:
            raise mistake(table.place("sentinels"), f"the sentinel {day!r} is no date.", 'Write "1900-01-01".') from error
    members = table.table("members")
    return Shared({name: read_system(members.table(name), name) for name in members.values}, settings.time_zone, sentinels)


def read_system(table: Table, name: str) -> MemberSystem:
    """A [members.<name>]."""
    table.allow("a member system", ("table", "key", "as", "ids", "since", "new_key"))
    canonical = table.one_of("as", CANONICAL)
    return MemberSystem(
        name=name,
        table=table.source_table("table"),
        key=table.text("key"),
        canonical=canonical,
        ids="keep" if table.one_of("ids", ("keep", "allocate")) == "keep" else "allocate",
        since=table.text("since"),
        place=table.place(),
        new_key=read_new_key(table),
    )


def read_new_key(table: Table) -> str | None:
    """`new_key`: a text with the place {member_id}."""
    if "new_key" not in table.values:
        return None
    template = table.text("new_key")
    if "{member_id}" not in template:
        raise mistake(table.place("new_key"), "new_key needs {member_id}, so that every key differs.", 'Write "M{member_id}".')
    return template


def ordered_files(shared: Table, files: set[str]) -> list[str]:
    """The mapping files in the order of `tables`, parents first; each listed once, none left out."""
    listed = [f"{name}.toml" for name in shared.texts("tables")]
    for name in listed:
        if name not in files:
            raise unknown(shared.place("tables"), "mapping file", name, files)
    if forgotten := files - set(listed):
        names = ", ".join(sorted(name.removesuffix(".toml") for name in forgotten))
        raise mistake(shared.place("tables"), f"tables does not list {names}.", "List every file, parents before children.")
    if len(set(listed)) < len(listed):
        raise mistake(shared.place("tables"), "tables lists a file twice.", "List each once.")
    return listed


def read_table(table: Table, shared: Shared) -> TableMapping:
    """A file: one target table and its parts."""
    table.allow("a mapping file", ("target", "key", "part", "sync"))
    target, key = table.text("target"), table.texts("key")
    parts = tuple(read_part(part, target, key, shared) for part in table.tables("part"))
    if not parts:
        raise mistake(table.place(), f"{target} has no part.", "Add [[part]] with source, key and columns.")
    names = [part.name for part in parts]
    for at, part in enumerate(parts):
        if part.name in names[:at]:
            raise mistake(part.place, f"two parts are called {part.name}.", "Name each differently.")
    return TableMapping(target, parts, read_sync(table.table("sync"), parts))


def read_sync(table: Table, parts: tuple[Part, ...]) -> SyncRules:
    """[sync]: how the table is kept in step. Raises ConfigurationError."""
    table.allow("[sync]", ("mode", "capture", "default", "rules", "together"))
    mapped = {column.target: None for part in parts for column in part.columns}
    rules = table.table("rules")
    for column in rules.values:
        if column not in mapped:
            raise unknown(rules.place(column), "target column", column, mapped, " in [sync.rules]")
    mode = cast(Mode, table.one_of("mode", MODES, "both"))
    capture = cast(Capture, table.one_of("capture", CAPTURES, "scan"))
    if mode == "source" and capture != "scan":
        raise mistake(
            table.place("capture"), "Nothing is captured of a table that only the legacy side changes.", "Take capture away."
        )
    return SyncRules(
        mode=mode,
        capture=capture,
        default=cast(Rule, table.one_of("default", RULES, "latest")),
        columns={column: cast(Rule, rules.one_of(column, RULES)) for column in rules.values},
        together=read_together(table, mapped),
    )


def read_together(table: Table, mapped: dict[str, None]) -> tuple[tuple[str, ...], ...]:
    """`together`: lists of columns. Raises ConfigurationError for an unknown one, or one that stands twice."""
    groups = table.values.get("together", [])
    if not isinstance(groups, list) or not all(isinstance(group, list) for group in groups):
        raise mistake(
            table.place("together"), "together must be a list of lists.", 'Write together = [["granted", "granted_at"]].'
        )
    seen: set[str] = set()
    for column in (column for group in groups for column in group):
        if column not in mapped:
            raise unknown(table.place("together"), "target column", str(column), mapped, " in together")
        if column in seen:
            raise mistake(table.place("together"), f"{column} stands twice in together.", "Leave it in one list.")
        seen.add(column)
    return tuple(tuple(group) for group in groups)


def check_systems(tables: tuple[TableMapping, ...], shared: Shared) -> None:
    """Each member system is defined by one part, before any other part refers to it."""
    defined: set[str] = set()
    for part in (part for table in tables for part in table.parts):
        system = part.defines_member
        if system is not None and system.name in defined:
            raise mistake(part.place, f"{system.name} members are defined twice.", "Take `members` out of one part.")
        defined |= {system.name} if system is not None else set()
        for column in part.columns:
            if column.member is not None and column.member not in defined:
                problem = f"{part.name} needs {column.member} members, which no part before it defines."
                raise mistake(column.place, problem, "Correct the order in `tables`.")
    if left := sorted(set(shared.systems) - defined):
        raise mistake(shared.systems[left[0]].place, f"no part defines {left[0]} members.", f'Add members = "{left[0]}" to one.')


def fingerprint(texts: dict[str, str], time_zone: str) -> str:
    """Changes when anything in the mapping does."""
    digest = hashlib.sha256(time_zone.encode())
    for name, text in sorted(texts.items()):
        digest.update(f"\0{name}\0{text}".encode())
    return digest.hexdigest()

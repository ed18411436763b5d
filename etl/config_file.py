"""Read membershift.toml: secrets resolved, every mistake named with its line and the nearest valid key."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from etl.errors import ConfigurationError
from etl.settings import Settings

DEFAULT_NAME: Final = "membershift.toml"
REFERENCE = re.compile(r"\$\{(env|file|keyring):([^}]+)\}")
PART: Final = re.compile(r"""\s*("[^"]*"|'[^']*'|[^."'\s]+)\s*""")
HEADER: Final = re.compile(r"^(\[\[?)([^\[\]]+)\]")
KEY: Final = re.compile(r"""^((?:"[^"]*"|'[^']*'|[\w.-]|\s)+?)\s*=""")


OURS: Final = ("origin", "digest")
"""Fields of a whole file's model that say which file it was: they are no keys."""


@dataclass(frozen=True)
class Help:
    """Where to look when a key is missing, and when a value is wrong."""

    missing: str
    value: str


HELP: Final = Help(
    "Add it; `membershift config init --print` shows an example.",
    "Correct the value; docs/configuration.md lists what is allowed.",
)


def find_config(explicit: Path | None) -> Path:
    """The configuration file: `--config`, else MEMBERSHIFT_CONFIG, else membershift.toml in the working folder."""
    chosen = explicit or Path(os.environ.get("MEMBERSHIFT_CONFIG") or DEFAULT_NAME)
    if not chosen.is_file():
        raise ConfigurationError(
            f"No configuration file at {chosen}.",
            "Run `membershift config init` to write one here, or name one with --config or MEMBERSHIFT_CONFIG.",
        )
    return chosen


def read_settings(path: Path) -> Settings:
    """All settings of the file at `path`. Raises ConfigurationError with the line, the key and the remedy."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.", "Check its permissions and that it is UTF-8.") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.", "Correct the line it names.") from error
    document.pop("origin", None)
    try:
        return Settings.model_validate(resolve(document, path) | {"origin": path})
    except ValidationError as error:
        raise explain(error, path, text) from error


def resolve(value: Any, path: Path) -> Any:
    """Replace ${env:..}, ${file:..} and ${keyring:..} in every text below `value`."""
    match value:
        case dict():
            return {key: resolve(item, path) for key, item in value.items()}
        case list():
            return [resolve(item, path) for item in value]
        case str():
            return REFERENCE.sub(lambda found: secret(found[1], found[2], path), value)
        case _:
            return value


def secret(kind: str, name: str, path: Path) -> str:
    """The value a reference stands for; files are relative to the configuration file and lose their last line end."""
    if kind == "env":
        found = os.environ.get(name)
        if found is None:
            raise ConfigurationError(f"{path} needs the environment variable {name}, which is not set.", f"export {name}=...")
        return url_safe(found)
    if kind == "file":
        file = (path.resolve().parent / Path(name).expanduser()).resolve()
        try:
            return url_safe(file.read_text("utf-8").rstrip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigurationError(
                f"{path} refers to the secret file {file}, which cannot be read: {reason}.",
                "Write the secret there, readable by you only (chmod 600).",
            ) from error
    return url_safe(keyring_secret(name, path))


def keyring_secret(name: str, path: Path) -> str:
    """A password of the system's keyring; `name` is service/user."""
    service, _, user = name.partition("/")
    try:
        import keyring
    except ImportError as error:
        raise ConfigurationError(
            f"{path} refers to the keyring, but keyring support is not installed.", "Install membershift[keyring]."
        ) from error
    found: str | None = keyring.get_password(service, user)
    if found is None:
        raise ConfigurationError(f"{path}: the keyring has no password for {service}/{user}.", f"keyring set {service} {user}")
    return found


def url_safe(value: str) -> str:
    """Secrets stand inside URLs: characters that a URL gives a meaning to are quoted."""
    from urllib.parse import quote

    return quote(value, safe="")


def explain(
    error: ValidationError, path: Path, text: str, model: type[BaseModel] = Settings, help_with: Help = HELP
) -> ConfigurationError:
    """The first mistake, in words. The value itself is not shown: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    location = tuple(str(part) for part in first["loc"])
    named = tuple(str(part) for part in first["loc"] if isinstance(part, str))
    key = ".".join(named)
    where = f"{path}, line {line_of(text, location)}"
    if first["type"] == "extra_forbidden":
        valid = valid_keys(named[:-1], model)
        near = difflib.get_close_matches(named[-1], valid, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Valid keys here: {', '.join(valid)}."
        return ConfigurationError(f"{where}: unknown key {key!r}.", hint)
    if first["type"] == "missing":
        there = path if len(named) == len(location) else where  # in one of several tables of a name: say in which
        return ConfigurationError(f"{there}: {key} is missing.", help_with.missing)
    said = f"{key}: {first['msg']}" if key else str(first["msg"])
    return ConfigurationError(f"{where}: {said.replace('Value error, ', '', 1).rstrip('.')}.", help_with.value)


def valid_keys(section: tuple[str, ...], model: type[BaseModel] = Settings) -> list[str]:
    """Keys that may stand in the given table of the file, whose whole is a `model`."""
    for name in section:
        fields = {field.alias or own: field for own, field in model.model_fields.items()}
        inner = None if name not in fields else model_in(fields[name].annotation)
        if inner is None:
            return []
        model = inner
    return sorted(field.alias or name for name, field in model.model_fields.items() if name not in OURS)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The table that a key holds: one, or several, or perhaps none at all."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part)) is not None), None)


def line_of(text: str, location: tuple[str, ...]) -> int:
    """The line that sets a key, from 1; the table's line when the key cannot be found. Tables of a [[name]] are counted from 0.

    >>> line_of("[a]\\nx = 1\\n[b]\\nx = 2", ("b", "x"))
    4
    >>> line_of("[a]\\nx = 1\\n[a.b]\\nx = 2", ("a", "b", "x"))
    4
    >>> line_of("[[w]]\\nx = 1\\n[[w]]\\nx = 2\\n[w.b]\\ny = 1", ("w", "1", "b", "y"))
    6
    """
    best, known = 1, 0
    table: tuple[str, ...] = ()
    counts: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        here = place_of(line.strip(), table, counts)
        if here is None:
            continue
        if line.strip().startswith("["):
            table = here
        if len(here) > known and location[: len(here)] == here:
            best, known = number, len(here)
    return best


def place_of(line: str, table: tuple[str, ...], counts: dict[tuple[str, ...], int]) -> tuple[str, ...] | None:
    """Where in the document a line of TOML is; None for one that sets nothing. `counts`: the tables of each [[name]] so far."""
    header = HEADER.match(line)
    if header is None:
        key = KEY.match(line)
        return (*table, *dotted(key[1])) if key else None
    here: tuple[str, ...] = ()
    names = dotted(header[2])
    for place, name in enumerate(names, 1):
        here = (*here, name)
        if header[1] == "[[" and place == len(names):
            counts[here] = counts.get(here, -1) + 1
        if here in counts:
            here = (*here, str(counts[here]))
    return here


def dotted(name: str) -> tuple[str, ...]:
    """The parts of a dotted name.

    >>> dotted('a."b.c"')
    ('a', 'b.c')
    """
    return tuple(part.strip().strip("\"'") for part in PART.findall(name))

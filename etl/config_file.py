"""Read membershift.toml: secrets resolved, every mistake named with its line and the nearest valid key."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from etl.errors import ConfigurationError
from etl.settings import Settings

DEFAULT_NAME: Final = "membershift.toml"
REFERENCE = re.compile(r"\$\{(env|file|keyring):([^}]+)\}")


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


def explain(error: ValidationError, path: Path, text: str) -> ConfigurationError:
    """The first mistake, in words. The value itself is not shown: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    location = tuple(str(part) for part in first["loc"])
    key = ".".join(location)
    where = f"{path}, line {line_of(text, location)}"
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], valid_keys(location[:-1]), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Valid keys here: {', '.join(valid_keys(location[:-1]))}."
        return ConfigurationError(f"{where}: unknown key {key!r}.", hint)
    if first["type"] == "missing":
        return ConfigurationError(f"{path}: {key} is missing.", "Add it; `membershift config init --print` shows an example.")
    return ConfigurationError(
        f"{where}: {key}: {first['msg']}.", "Correct the value; docs/configuration.md lists what is allowed."
    )


def valid_keys(section: tuple[str, ...]) -> list[str]:
    """Keys that may stand in the given table of the file."""
    model: type[BaseModel] = Settings
    for name in section:
        annotation = model.model_fields[name].annotation if name in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return sorted(field.alias or name for name, field in model.model_fields.items() if name != "origin")


def line_of(text: str, location: tuple[str, ...]) -> int:
    """The line that sets a key, from 1; the table's line when the key cannot be found.

    >>> line_of("[a]\\nx = 1\\n[b]\\nx = 2", ("b", "x"))
    4
    >>> line_of("[a]\\nx = 1\\n[a.b]\\nx = 2", ("a", "b", "x"))
    4
    """
    lines = text.splitlines()
    tables = {line.strip().strip("[] ") for line in lines if line.strip().startswith("[")}
    depth = max((depth for depth in range(1, len(location)) if ".".join(location[:depth]) in tables), default=0)
    table, key = ".".join(location[:depth]), re.compile(rf"[\"']?{re.escape(location[depth])}[\"']?\s*=")
    inside, best = depth == 0, 1
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped.startswith("["):
            inside = stripped.strip("[] ") == table
            best = number if inside else best
        elif inside and key.match(stripped):
            return number
    return best

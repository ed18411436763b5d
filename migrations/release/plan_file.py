"""Read release.toml: secrets resolved, every mistake named with its line and the nearest valid key."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from etl.config_file import OURS, Help, explain, resolve
from etl.errors import ConfigurationError
from migrations.release.plan import Plan

DEFAULT_NAME: Final = "release.toml"
HELP: Final = Help(
    missing="Add it; docs/release.md has an example with every key.",
    value="Correct the value; docs/release.md lists what is allowed.",
)


def read_plan(path: Path) -> Plan:
    """The plan in the file at `path`. Raises ConfigurationError with the line, the key and the remedy."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"No plan of a release at {path}.", "Write one as docs/release.md shows, or name it with --plan."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.", "Check its permissions and that it is UTF-8.") from error
    return parse_plan(text, path)


def parse_plan(text: str, path: Path) -> Plan:
    """The same of a text that stands, or will stand, at `path`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.", "Correct the line it names.") from error
    ours = {"origin": path, "digest": hashlib.sha256(text.encode()).hexdigest()}
    unwanted = next((key for key in OURS if key in document), None)
    if unwanted is not None:
        raise ConfigurationError(f"{path}: unknown key {unwanted!r}.", "Remove it.")
    try:
        return Plan.model_validate(resolve(document, path) | ours)
    except ValidationError as error:
        raise explain(error, path, text, Plan, HELP) from error

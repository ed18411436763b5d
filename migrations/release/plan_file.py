"""Read release.toml: secrets resolved, every mistake named with its line and the nearest valid key."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError

from etl.config_file import OURS, Help, explain, resolve
from etl.errors import ConfigurationError
from migrations.release.plan import Plan, RoleSettings

DEFAULT_NAME: Final = "release.toml"
Roles = Mapping[str, Sequence[str]]
"""[roles] of membershift.toml: the users that hold a role, by its name."""
NO_ROLES: Final[Roles] = MappingProxyType({})
HELP: Final = Help(
    missing="Add it; docs/release.md has an example with every key.",
    value="Correct the value; docs/release.md lists what is allowed.",
)


def read_plan(path: Path, roles: Roles = NO_ROLES) -> Plan:
    """The plan in the file at `path`, with the people that membershift.toml says hold a role that the plan names nobody for.
    Raises ConfigurationError with the line, the key and the remedy, and where both files name people for a role, and not the
    same ones."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"No plan of a release at {path}.", "Write one as docs/release.md shows, or name it with --plan."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.", "Check its permissions and that it is UTF-8.") from error
    return with_roles(parse_plan(text, path), roles)


def with_roles(plan: Plan, roles: Roles) -> Plan:
    """One list for each role, whichever of the two files it stands in. Raises ConfigurationError."""
    found: dict[str, tuple[str, ...]] = {}
    for role in RoleSettings.model_fields:
        here, there = set(getattr(plan.roles, role)), set(roles.get(role, ()))
        if here and there and here != there:
            raise ConfigurationError(
                f"{plan.origin}: [roles] {role} is {listed(here)}, and {listed(there)} in membershift.toml.",
                "Name the same people in both, or all of them in one.",
            )
        if there and not here:
            found[role] = tuple(sorted(there))
    approvers, wanted = found.get("approver"), max(plan.waves, key=lambda wave: wave.approvals)
    if approvers and len(approvers) < wanted.approvals:
        raise ConfigurationError(
            f"{plan.origin}: wave {wanted.name!r} needs {wanted.approvals} approvals, and [roles] approver in membershift.toml "
            f"names {len(approvers)} people.",
            HELP.value,
        )
    return plan.model_copy(update={"roles": plan.roles.model_copy(update=found)}) if found else plan


def listed(people: set[str]) -> str:
    """Names, in order."""
    return ", ".join(sorted(people))


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

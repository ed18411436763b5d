"""Who runs a command: the user that the system knows, and the roles that the configuration gives them."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Actor:
    """`user` is the system's, not the environment's, which anybody may set. `behind`: who called sudo, "" when nobody did."""

    user: str
    roles: tuple[str, ...] = ()
    host: str = ""
    pid: int = 0
    behind: str = ""

    @property
    def described(self) -> dict[str, Any]:
        """As the audit log holds it."""
        described: dict[str, Any] = {"user": self.user, "roles": list(self.roles), "host": self.host, "pid": self.pid}
        return described | {"behind": self.behind} if self.behind else described


def actor_here(roles: Mapping[str, Sequence[str]]) -> Actor:
    """The user of this process; `roles` are those of the configuration: for each its users. Whoever acts through sudo has the
    roles of the person behind it."""
    user = user_name(os.getuid())
    behind = sudo_caller() if os.getuid() == 0 else ""
    person = behind or user
    held = tuple(sorted(role for role, users in roles.items() if person in users))
    return Actor(user, held, socket.gethostname(), os.getpid(), behind)


def user_name(uid: int) -> str:
    """The name of a user, or its number where the system knows no name (as in containers)."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def sudo_caller() -> str:
    """Who called sudo; only root can have set it, so only root is asked."""
    uid = os.environ.get("SUDO_UID", "")
    return user_name(int(uid)) if uid.isascii() and uid.isdecimal() else ""

"""Who decides, and whether release.toml lets them. The user is the system's; behind sudo it is the person who called it."""

from __future__ import annotations

import socket
from typing import Literal

from etl.errors import RefusedError
from migrations.audit.who import actor_here
from migrations.release.plan import Plan

Role = Literal["approver", "operator", "overruler"]


def person_here() -> str:
    """The person at this terminal."""
    actor = actor_here({})
    return actor.behind or actor.user


def require_role(plan: Plan, role: Role) -> str:
    """The person, who may do what `role` does. Raises RefusedError naming who may."""
    person = person_here()
    if plan.roles.allows(role, person):
        return person
    named = ", ".join(getattr(plan.roles, role))
    raise RefusedError(
        f"{person} is no {role} of this release.",
        f"One of these may do it: {named}. The list is [roles] in {plan.origin.name} or in membershift.toml.",
    )


def holder_here() -> str:
    """How this process is called while it carries the release out."""
    actor = actor_here({})
    return f"{actor.behind or actor.user} on {socket.gethostname()} (process {actor.pid})"

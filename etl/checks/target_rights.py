"""Rights on the target, from SHOW GRANTS: each one needed, on each of our two schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from etl.checks.model import CheckResult
from etl.settings import TargetSettings

ON_SCHEMAS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX")
"""What schema, load, import, reconcile and repair use, on `membership` and on `membershift`."""

TO_VERIFY: Final = ("SELECT", "INSERT", "CREATE", "DROP")
"""What `snapshot verify` uses on its scratch schema."""

GRANT: Final = re.compile(r"^GRANT (?P<rights>.+?) ON (?P<scope>\S+?\.\S+|\*) TO ", re.IGNORECASE)
COLUMNS: Final = re.compile(r"\([^)]*\)")


@dataclass(frozen=True)
class Grants:
    """Rights by scope: "*" for the server, else a schema's name as a pattern of GRANT (with % and _)."""

    by_scope: tuple[tuple[str, frozenset[str]], ...]

    def held(self, right: str, schema: str | None = None) -> bool:
        """Whether `right` is held on the whole server, or on all of `schema`."""
        return any(
            (scope == "*" or (schema is not None and matches(scope, schema))) and (right in rights or "ALL PRIVILEGES" in rights)
            for scope, rights in self.by_scope
        )


def parse_grants(lines: list[str]) -> Grants:
    """Read SHOW GRANTS. Grants on single tables or columns, and roles, are no right to a whole schema.

    >>> grants = parse_grants(["GRANT SELECT,INSERT ON `member\\\\_ship`.* TO 'a'@'%'", "GRANT PROCESS ON *.* TO 'a'@'%'"])
    >>> grants.held("SELECT", "member_ship"), grants.held("DELETE", "member_ship"), grants.held("PROCESS")
    (True, False, True)
    """
    found: list[tuple[str, frozenset[str]]] = []
    for line in lines:
        match = GRANT.match(line)
        if match is None:
            continue
        scope = match["scope"]
        rights = frozenset(part.strip().upper() for part in match["rights"].split(",") if not COLUMNS.search(part))
        if scope == "*.*":
            found.append(("*", rights))
        elif scope.endswith(".*"):
            found.append((scope.removesuffix(".*").strip("`'\""), rights))
    return Grants(tuple(found))


def matches(pattern: str, schema: str) -> bool:
    """Whether a schema pattern of GRANT covers `schema`; names are taken without regard to case.

    >>> matches("membership", "Membership"), matches("member%", "membershift"), matches("member\\\\_x", "memberax")
    (True, True, False)
    """
    pieces = re.split(r"(\\_|\\%|_|%)", pattern)
    wild = {"_": ".", "%": ".*", r"\\_": "_", r"\_": "_", r"\%": "%"}
    return re.fullmatch("".join(wild.get(piece, re.escape(piece)) for piece in pieces), schema, re.IGNORECASE) is not None


def judge_grants(grants: Grants, settings: TargetSettings, *, user: str, is_tidb: bool) -> Iterator[CheckResult]:
    """Each schema, what snapshots of a release need, and PROCESS on TiDB."""
    for schema in (settings.schema_name, settings.state_schema):
        missing = [right for right in ON_SCHEMAS if not grants.held(right, schema)]
        values = (("missing", ", ".join(missing)), ("schema", schema), ("user", user), ("rights", ", ".join(ON_SCHEMAS)))
        name = f"rights on {schema}"
        if missing:
            remedy = "Run: GRANT {missing} ON `{schema}`.* TO {user}"
            yield CheckResult(name, "target", "fail", "Missing: {missing}.", remedy, values)
        else:
            yield CheckResult(name, "target", "ok", "{rights}.", values=values)
    yield judge_verifying(grants, settings.verify_schema, user)
    if is_tidb:
        yield judge_process(grants, user)
        yield judge_gc_life_time(grants, user)
    if grants.held("SUPER") or grants.held("ALL PRIVILEGES"):
        remedy = "Use an account of its own with the rights of docs/rights.md."
        yield CheckResult("least rights", "target", "warn", "The account may administer the whole server.", remedy)
    else:
        yield CheckResult("least rights", "target", "ok", "The account does not administer the server.")


def judge_process(grants: Grants, user: str) -> CheckResult:
    """TiDB shows the transactions of other accounts (INFORMATION_SCHEMA.CLUSTER_TIDB_TRX) only with PROCESS: capturing changes
    without loss waits for the oldest of them."""
    if grants.held("PROCESS"):
        return CheckResult("right PROCESS", "target", "ok", "Held.")
    found = "Missing: open transactions of other accounts cannot be seen, so changes made by them could be missed later."
    return CheckResult("right PROCESS", "target", "fail", found, "Run: GRANT PROCESS ON *.* TO {user}", (("user", user),))


def judge_verifying(grants: Grants, schema: str, user: str) -> CheckResult:
    """Snapshots of a release are restored into a schema of their own, which only `snapshot verify` needs."""
    missing = [right for right in TO_VERIFY if not grants.held(right, schema)]
    values = (("missing", ", ".join(missing)), ("schema", schema), ("user", user), ("rights", ", ".join(TO_VERIFY)))
    name = f"rights on {schema}"
    if not missing:
        return CheckResult(name, "target", "ok", "{rights}.", values=values)
    found = "Missing: {missing}. `snapshot verify` cannot restore a snapshot of a release to look at it."
    return CheckResult(name, "target", "warn", found, "Run: GRANT {missing} ON `{schema}`.* TO {user}", values)


def judge_gc_life_time(grants: Grants, user: str) -> CheckResult:
    """Before each switch of a release a snapshot has TiDB keep old versions of rows for longer, which belongs to the cluster."""
    if grants.held("SYSTEM_VARIABLES_ADMIN") or grants.held("SUPER"):
        return CheckResult("right SYSTEM_VARIABLES_ADMIN", "target", "ok", "Held.")
    found = "Missing: rows can be read as they were at a snapshot for tidb_gc_life_time only, 10 minutes where nobody changed it."
    remedy = "Run: GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO {user}"
    return CheckResult("right SYSTEM_VARIABLES_ADMIN", "target", "warn", found, remedy, (("user", user),))

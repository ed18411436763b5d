"""The target: version, encryption, clock, and the settings that decide whether a load is safe."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from etl.checks.clocks import Skew, measure_skew
from etl.checks.encryption import judge_encryption
from etl.checks.model import CheckResult
from etl.checks.target_rights import judge_grants, parse_grants
from etl.errors import TargetError
from etl.settings import TargetSettings
from etl.source.catalog import Asks
from etl.target.address import read_address
from etl.target.capabilities import Capabilities

OLDEST_TIDB: Final = (6, 5, 0)
LEAST_QUERY_MEMORY: Final = 512 * 1024**2
LEAST_PACKET: Final = 16 * 1024**2
STRICT: Final = ("STRICT_TRANS_TABLES", "STRICT_ALL_TABLES")
CHARSET: Final = "utf8mb4"


def check_version(target: Capabilities) -> Iterator[CheckResult]:
    """TiDB 6.5 or later. MariaDB serves for trying things out, with less to show."""
    values = (("version", target.name),)
    if not target.is_tidb:
        remedy = "Good for trying out. AUTO_RANDOM, AS OF TIMESTAMP and TiDB's limits are shown by a TiDB only."
        yield CheckResult("version", "target", "warn", "{version}: not a TiDB.", remedy, values)
    elif target.version >= OLDEST_TIDB:
        yield CheckResult("version", "target", "ok", "{version}", values=values)
    else:
        yield CheckResult(
            "version", "target", "fail", "{version}", "membershift writes to TiDB 6.5 and later: upgrade it.", values
        )


def check_encryption(target: Asks, settings: TargetSettings) -> Iterator[CheckResult]:
    """The cipher of this very connection."""
    address = read_address(settings)
    rows = target.query("SHOW STATUS LIKE 'Ssl_cipher'")
    encrypted = bool(rows and rows[0][1])
    yield judge_encryption("target", encrypted=encrypted, tls=address.tls, host=address.host)


def check_rights(target: Asks, settings: TargetSettings, *, is_tidb: bool) -> Iterator[CheckResult]:
    """What SHOW GRANTS says of both schemas and of PROCESS."""
    grants = parse_grants([str(row[0]) for row in target.query("SHOW GRANTS")])
    account = str(target.query("SELECT CURRENT_USER()")[0][0])
    name, _, host = account.rpartition("@")
    yield from judge_grants(grants, settings, user=f"'{name}'@'{host}'", is_tidb=is_tidb)


def check_settings(target: Asks, *, is_tidb: bool) -> Iterator[CheckResult]:
    """Server settings, by name, each with what we need of it."""
    variables = read_variables(target)
    yield judge_local_infile(variables)
    yield judge_sql_mode(variables)
    yield judge_time_zone(variables)
    yield judge_charset(variables)
    yield judge_packet(variables)
    yield judge_foreign_keys(variables, is_tidb=is_tidb)
    if is_tidb:
        yield judge_query_memory(variables)
        yield judge_new_collations(variables)


NAMES: Final = (
    "local_infile", "sql_mode", "time_zone", "system_time_zone", "character_set_server", "collation_server", "max_allowed_packet",
    "tidb_mem_quota_query", "tidb_enable_foreign_key", "foreign_key_checks", "new_collation_enabled",
)  # fmt: skip


def read_variables(target: Asks) -> dict[str, str]:
    """Global values of the settings we look at, by lower-case name; those the server does not know are left out."""
    listed = ", ".join(f"'{name}'" for name in NAMES)
    rows = target.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    variables = {str(name).lower(): str(value) for name, value in rows}
    try:
        collation = target.query("SELECT VARIABLE_VALUE FROM mysql.tidb WHERE VARIABLE_NAME = 'new_collation_enabled'")
        if collation:
            variables["new_collation_enabled"] = str(collation[0][0])
    except TargetError:
        return variables  # no TiDB, or no right to mysql.tidb: nothing is said about it then
    return variables


def judge_local_infile(variables: dict[str, str]) -> CheckResult:
    """Bulk load is LOAD DATA LOCAL."""
    if is_on(variables.get("local_infile", "ON")):
        return CheckResult("local_infile", "target", "ok", "On.")
    found, remedy = "Off: LOAD DATA LOCAL is refused, and `load` needs it.", "Run: SET GLOBAL local_infile = ON"
    return CheckResult("local_infile", "target", "fail", found, remedy)


def judge_sql_mode(variables: dict[str, str]) -> CheckResult:
    """Our own sessions are always strict; applications take the server's mode."""
    mode = variables.get("sql_mode", "")
    if any(part in STRICT for part in mode.upper().split(",")):
        return CheckResult("sql_mode", "target", "ok", "Strict.")
    found = "Not strict: applications can store values that were cut to fit. Our own sessions are strict whatever it says."
    remedy = "Add STRICT_TRANS_TABLES to the global sql_mode."
    return CheckResult("sql_mode", "target", "warn", found, remedy)


def judge_time_zone(variables: dict[str, str]) -> CheckResult:
    """Times are stored in UTC; a session elsewhere reads TIMESTAMP columns shifted, and NOW() writes local time into DATETIME."""
    zone = variables.get("time_zone", "")
    shown = variables.get("system_time_zone", "") if zone.upper() == "SYSTEM" else zone
    values = (("zone", shown or zone),)
    if shown in ("+00:00", "UTC", "Etc/UTC", "GMT"):
        return CheckResult("time zone", "target", "ok", "{zone}", values=values)
    found = "{zone}, while times are stored in UTC: an application that writes NOW() stores another time than we do."
    return CheckResult("time zone", "target", "warn", found, "Set time_zone = '+00:00' in the applications, or globally.", values)


def judge_charset(variables: dict[str, str]) -> CheckResult:
    """Our tables name their character set; tables made by others take the server's."""
    charset = variables.get("character_set_server", "")
    values = (("charset", charset), ("collation", variables.get("collation_server", "")))
    if charset == CHARSET:
        return CheckResult("character set", "target", "ok", "{charset}, {collation}.", values=values)
    found = "{charset}: tables that others create lose characters outside it."
    return CheckResult("character set", "target", "warn", found, "Run: SET GLOBAL character_set_server = utf8mb4", values)


def judge_packet(variables: dict[str, str]) -> CheckResult:
    """One row of up to 6 MiB and one batch have to pass."""
    size = int(variables.get("max_allowed_packet", "67108864"))
    values = (("size", f"{size // 1024**2} MiB"),)
    if size >= LEAST_PACKET:
        return CheckResult("max_allowed_packet", "target", "ok", "{size}", values=values)
    remedy = "Run: SET GLOBAL max_allowed_packet = 67108864"
    return CheckResult("max_allowed_packet", "target", "fail", "{size}: a large row does not pass.", remedy, values)


def judge_foreign_keys(variables: dict[str, str], *, is_tidb: bool) -> CheckResult:
    """Our schema declares no foreign key: invariants check what they would, and a load needs no order because of them."""
    active = is_on(variables.get("tidb_enable_foreign_key", "ON")) and is_on(variables.get("foreign_key_checks", "ON"))
    if not active and is_tidb:
        return CheckResult("foreign keys", "target", "ok", "Not enforced; our tables declare none, reconcile checks them.")
    return CheckResult("foreign keys", "target", "ok", "Enforced where declared; our tables declare none, reconcile checks them.")


def judge_query_memory(variables: dict[str, str]) -> CheckResult:
    """A transaction, and a sorted read of reconcile, live within this."""
    quota = int(variables.get("tidb_mem_quota_query", "1073741824"))
    values = (("size", f"{quota / 1024**2:,.0f} MiB" if quota > 0 else "-"),)
    if quota < 0 or quota >= LEAST_QUERY_MEMORY:
        return CheckResult("tidb_mem_quota_query", "target", "ok", "{size}", values=values)
    remedy = "Run: SET GLOBAL tidb_mem_quota_query = 1073741824"
    return CheckResult("tidb_mem_quota_query", "target", "warn", "{size}: large batches may be cancelled.", remedy, values)


def judge_new_collations(variables: dict[str, str]) -> CheckResult:
    """Without the new framework every collation behaves as binary without padding, fixed when the cluster was first started."""
    if is_on(variables.get("new_collation_enabled", "True")):
        return CheckResult("collations", "target", "ok", "The new collation framework is on.")
    found = "The new collation framework is off: _ci collations compare as binary, and trailing spaces matter."
    remedy = "It is fixed when a cluster is made (new_collations_enabled_on_first_bootstrap); make a new one to change it."
    return CheckResult("collations", "target", "warn", found, remedy)


def is_on(value: str) -> bool:
    """How servers write yes."""
    return value.strip().upper() in ("ON", "1", "TRUE", "YES")


def target_skew(target: Asks) -> Skew:
    """The target's clock against ours."""

    def ask() -> datetime:
        now = target.query("SELECT UTC_TIMESTAMP(6)")[0][0]
        if not isinstance(now, datetime):
            raise TargetError("The target did not tell its time.", "Check that SELECT UTC_TIMESTAMP(6) works there.")
        return now

    return measure_skew(ask)

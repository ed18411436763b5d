"""doctor: everything that has to be right before data moves, each answer with its remedy."""

from __future__ import annotations

from collections.abc import Iterator

from etl.checks import here, source_rights, source_server, target_server
from etl.checks.clocks import Skew, judge_pair, judge_skew
from etl.checks.model import Check, CheckResult, DoctorResult, from_error, run_checks
from etl.checks.source_hidden import check_hidden
from etl.errors import ConfigurationError, OpsError
from etl.settings import Settings
from etl.source.connect import Source, open_source
from etl.target.bulk import BulkConnection
from etl.target.capabilities import read_capabilities
from etl.target.connect import connect_bulk
from etl.target.drivers import driver_name


def run_doctor(settings: Settings) -> DoctorResult:
    """Check this machine, the source and the target. A server that is down stops none of the other checks; raises nothing."""
    skews: dict[str, Skew] = {}
    answers = [*check_here(settings), *check_source(settings, skews), *check_target(settings, skews)]
    answers += judge_pair(skews.get("source"), skews.get("target"))
    return DoctorResult(tuple(answers))


def check_here(settings: Settings) -> Iterator[CheckResult]:
    """Drivers, disk, state folder."""
    return run_checks(
        "here",
        [
            ("drivers", lambda: here.check_drivers(settings)),
            ("free disk", lambda: here.check_disk(settings)),
            ("state folder", lambda: here.check_state_folder(settings)),
        ],
    )


def check_source(settings: Settings, skews: dict[str, Skew]) -> Iterator[CheckResult]:
    """Connect, then all that can be asked of the source."""
    try:
        with open_source(settings.source.model_copy(update={"retries": 0})) as source:
            yield connected("source", source.driver_name, str(source.address))
            yield from here.check_driver_in_use(settings.source, source.driver_name)
            yield from run_checks("source", source_checks(source, settings, skews))
    except OpsError as error:
        yield unreachable("source", error)


def source_checks(source: Source, settings: Settings, skews: dict[str, Skew]) -> list[tuple[str, Check]]:
    """The checks of the source, in order."""

    def check_clock() -> list[CheckResult]:
        skews["source"] = source_server.source_skew(source)
        return [judge_skew("source", skews["source"])]

    return [
        ("version", lambda: source_server.check_version(source)),
        ("encryption", lambda: source_server.check_encryption(source, settings.source)),
        ("databases", lambda: source_server.check_databases(source, settings.source)),
        ("rights", lambda: source_rights.check_rights(source, settings.source)),
        ("masks and row filters", lambda: check_hidden(source, settings.source)),
        ("right VIEW SERVER STATE", lambda: source_rights.check_server_state(source, settings.source)),
        ("least rights", lambda: source_rights.check_least_rights(source)),
        ("clock", check_clock),
    ]


def check_target(settings: Settings, skews: dict[str, Skew]) -> Iterator[CheckResult]:
    """Connect, then all that can be asked of the target."""
    try:
        with connect_bulk(settings.target.model_copy(update={"retries": 0}), database="") as target:
            yield connected("target", driver_name(settings.target), target.address.where)
            yield from run_checks("target", target_checks(target, settings, skews))
    except OpsError as error:
        yield unreachable("target", error)


def target_checks(target: BulkConnection, settings: Settings, skews: dict[str, Skew]) -> list[tuple[str, Check]]:
    """The checks of the target, in order."""
    capabilities = read_capabilities(target)
    is_tidb = capabilities.is_tidb

    def check_clock() -> list[CheckResult]:
        skews["target"] = target_server.target_skew(target)
        return [judge_skew("target", skews["target"])]

    return [
        ("version", lambda: target_server.check_version(capabilities)),
        ("encryption", lambda: target_server.check_encryption(target, settings.target)),
        ("rights", lambda: target_server.check_rights(target, settings.target, is_tidb=is_tidb)),
        ("settings", lambda: target_server.check_settings(target, is_tidb=is_tidb)),
        ("clock", check_clock),
    ]


def connected(side: str, driver: str, where: str) -> CheckResult:
    """The connection itself."""
    values = (("where", where), ("driver", driver))
    return CheckResult(
        "connection", "source" if side == "source" else "target", "ok", "{where}, through {driver}.", values=values
    )


def unreachable(side: str, error: OpsError) -> CheckResult:
    """Why there is no connection. A wrong URL is the configuration's fault, and exits as such."""
    if isinstance(error, ConfigurationError):
        return from_error("connection", "here", error)
    return from_error("connection", "source" if side == "source" else "target", error)

"""Doctor on real servers: every right, setting and state it speaks of is taken away once and asked for again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pymysql
import pytest
from pydantic import SecretStr

from etl.checks.clocks import measure_skew
from etl.checks.model import CheckResult
from etl.checks.run import run_doctor
from etl.errors import ExitCode, TargetError
from etl.settings import Settings, StageSettings, TargetSettings
from etl.target.connect import connect_bulk
from fixtures.data.generate import LegacyData
from fixtures.legacy_server.launcher import LegacyServer
from tests.conftest import BLIND, READER, SettingsFactory, split_url

RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX"


def answers(settings: Settings, side: str) -> dict[str, CheckResult]:
    """Doctor's answers about one side, by name."""
    return {check.name: check for check in run_doctor(settings).checks if check.side == side}


@contextmanager
def administrator(target: TargetSettings) -> Iterator[Callable[[str], object]]:
    """Runs statements as the target's root."""
    host, port, user, password = split_url(target)
    connection = pymysql.connect(host=host, port=port, user=user, password=password, autocommit=True)
    with connection, connection.cursor() as cursor:
        yield cursor.execute


@contextmanager
def account(target: TargetSettings, *grants: str) -> Iterator[TargetSettings]:
    """An account of its own with these rights; {business} and {state} in them are our schemas."""
    host, port, _, _ = split_url(target)
    name, password = f"u{secrets.token_hex(4)}", secrets.token_hex(8)
    with administrator(target) as run:
        run(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")
        try:
            for grant in grants:
                run(grant.format(business=target.schema_name, state=target.state_schema) + f" TO '{name}'@'%'")
            yield target.model_copy(update={"url": SecretStr(f"mysql://{name}:{password}@{host}:{port}")})
        finally:
            run(f"DROP USER '{name}'@'%'")


ALL_RIGHTS = (f"GRANT {RIGHTS} ON `{{business}}`.*", f"GRANT {RIGHTS} ON `{{state}}`.*", "GRANT PROCESS ON *.*")


def test_two_servers_that_are_down_are_two_failures_and_nothing_else_stops(settings_for: SettingsFactory) -> None:
    result = run_doctor(settings_for())
    assert [(check.side, check.name) for check in result.failures] == [("source", "connection"), ("target", "connection")]
    assert all(check.remedy for check in result.failures)
    assert {check.name for check in result.checks if check.side == "here"} >= {"free disk", "state folder", "driver for TiDB"}
    assert result.exit_code == ExitCode.SOURCE


def test_a_target_that_is_down_leaves_the_source_checked(
    settings_for: SettingsFactory, legacy: LegacyServer, retailer: LegacyData
) -> None:
    result = run_doctor(settings_for(source=legacy, databases=("crm",)))
    assert [check.side for check in result.failures] == ["target"]
    assert result.exit_code == ExitCode.TARGET
    assert retailer.rows


def test_a_wrong_url_is_the_configurations_fault(settings_for: SettingsFactory, fresh_target: TargetSettings) -> None:
    settings = settings_for(target=fresh_target.model_copy(update={"url": SecretStr("postgres://u:p@127.0.0.1:1")}))
    assert run_doctor(settings).exit_code == ExitCode.CONFIGURATION


def test_a_full_disk(settings_for: SettingsFactory) -> None:
    disk = answers(settings_for(stage=StageSettings(min_free_disk_gib=10_000_000)), "here")["free disk"]
    assert disk.status == "fail"
    assert "[state] dir" in disk.remedy_text


def test_a_state_folder_that_others_can_read(settings_for: SettingsFactory, tmp_path: Path) -> None:
    settings = settings_for()
    settings.state_dir.mkdir(mode=0o755, parents=True)
    folder = answers(settings, "here")["state folder"]
    assert (folder.status, folder.remedy_text) == ("warn", f"Run: chmod 700 {settings.state_dir}")
    settings.state_dir.chmod(0o700)
    assert answers(settings, "here")["state folder"].status == "ok"


def test_plain_drivers_are_said_to_cost(settings_for: SettingsFactory) -> None:
    settings = settings_for()
    plain = settings.model_copy(update={"source": settings.source.model_copy(update={"driver": "plain"})})
    driver = answers(plain, "here")["driver for SQL Server"]
    assert driver.status == "warn"
    assert "12 times" in driver.found_text


def test_everything_that_is_right_on_the_target(settings_for: SettingsFactory, fresh_target: TargetSettings) -> None:
    with account(fresh_target, *ALL_RIGHTS) as target:
        checks = answers(settings_for(target=target), "target")
    assert [check.name for check in checks.values() if check.status == "fail"] == []
    assert checks["least rights"].status == "ok"
    assert checks[f"rights on {fresh_target.schema_name}"].status == "ok"
    assert checks["clock"].status == "ok"


@pytest.mark.parametrize("missing", RIGHTS.split(", "))
def test_each_missing_right_is_named(settings_for: SettingsFactory, fresh_target: TargetSettings, missing: str) -> None:
    fewer = ", ".join(right for right in RIGHTS.split(", ") if right != missing)
    with account(fresh_target, f"GRANT {fewer} ON `{{business}}`.*", *ALL_RIGHTS[1:]) as target:
        checks = answers(settings_for(target=target), "target")
    right = checks[f"rights on {fresh_target.schema_name}"]
    assert (right.status, right.found_text) == ("fail", f"Missing: {missing}.")
    assert right.remedy_text.startswith(f"Run: GRANT {missing} ON `{fresh_target.schema_name}`.* TO 'u")
    assert checks[f"rights on {fresh_target.state_schema}"].status == "ok"


def test_the_remedy_is_a_statement_that_helps(settings_for: SettingsFactory, fresh_target: TargetSettings) -> None:
    with account(fresh_target) as target, administrator(fresh_target) as run:
        broken = answers(settings_for(target=target), "target")
        for check in broken.values():
            if check.status == "fail":
                run(check.remedy_text.removeprefix("Run: "))
        healed = answers(settings_for(target=target), "target")
    assert sum(check.status == "fail" for check in broken.values()) >= 2
    assert not [check for check in healed.values() if check.status == "fail"]


def test_what_snapshots_need_is_named_and_the_remedy_helps(settings_for: SettingsFactory, fresh_target: TargetSettings) -> None:
    """What a bug would cost: a release in its last night, and `snapshot verify` that may not make its schema."""
    scratch = fresh_target.verify_schema
    with account(fresh_target, *ALL_RIGHTS) as target, administrator(fresh_target) as run:
        found = answers(settings_for(target=target), "target")[f"rights on {scratch}"]
        assert found.status == "warn", "who never takes a snapshot is ready all the same"
        assert found.found_text.startswith("Missing: SELECT, INSERT, CREATE, DROP.")
        with connect_bulk(target, "") as connection, pytest.raises(TargetError):
            connection.execute(f"CREATE DATABASE `{scratch}`")
        run(found.remedy_text.removeprefix("Run: "))
        assert answers(settings_for(target=target), "target")[f"rights on {scratch}"].status == "ok"
        with connect_bulk(target, "") as connection:
            connection.execute(f"CREATE DATABASE `{scratch}`")
            connection.execute(f"DROP DATABASE `{scratch}`")


@pytest.mark.tidb
def test_keeping_old_versions_takes_a_right_on_tidb(settings_for: SettingsFactory, fresh_target: TargetSettings) -> None:
    """What a bug would cost: rows as they were before the switch, wanted an hour later, and collected after ten minutes."""
    name = "right SYSTEM_VARIABLES_ADMIN"
    with account(fresh_target, *ALL_RIGHTS) as target, administrator(fresh_target) as run:
        found = answers(settings_for(target=target), "target")[name]
        assert found.status == "warn"
        run(found.remedy_text.removeprefix("Run: "))
        assert answers(settings_for(target=target), "target")[name].status == "ok"
        with connect_bulk(target, "") as connection:
            connection.execute("SET GLOBAL tidb_gc_life_time = @@GLOBAL.tidb_gc_life_time")


@pytest.mark.tidb
def test_process_is_needed_on_tidb(settings_for: SettingsFactory, fresh_target: TargetSettings) -> None:
    with account(fresh_target, *ALL_RIGHTS[:2]) as target:
        process = answers(settings_for(target=target), "target")["right PROCESS"]
    assert (process.status, process.remedy_text[:29]) == ("fail", "Run: GRANT PROCESS ON *.* TO ")


@pytest.mark.parametrize(
    ("variable", "bad", "name", "status"),
    [
        ("local_infile", "0", "local_infile", "fail"),
        ("sql_mode", "''", "sql_mode", "warn"),
        ("time_zone", "'+08:00'", "time zone", "warn"),
        ("max_allowed_packet", "1048576", "max_allowed_packet", "fail"),
    ],
)
def test_settings_of_the_target(
    settings_for: SettingsFactory, fresh_target: TargetSettings, variable: str, bad: str, name: str, status: str
) -> None:
    settings = settings_for(target=fresh_target)
    host, port, user, password = split_url(fresh_target)
    connection = pymysql.connect(host=host, port=port, user=user, password=password, autocommit=True)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT @@GLOBAL.{variable}")
        row = cursor.fetchone()
        assert row is not None
        cursor.execute(f"SET GLOBAL {variable} = {bad}")
        try:
            broken = answers(settings, "target")[name]
        finally:
            cursor.execute(f"SET GLOBAL {variable} = %s", (row[0],))
    assert broken.status == status
    assert broken.remedy_text
    assert answers(settings, "target")[name].status in ("ok", "warn" if name == "time zone" else "ok")


def test_everything_that_is_right_on_the_source(
    settings_for: SettingsFactory, legacy: LegacyServer, retailer: LegacyData
) -> None:
    checks = answers(as_login(settings_for(source=legacy, databases=("crm", "pos", "ecom")), legacy, READER), "source")
    assert [check.name for check in checks.values() if check.status == "fail"] == []
    assert checks["least rights"].status == "ok"
    assert checks["version"].found_text.startswith("SQL Server 1")
    for database in ("crm", "pos", "ecom"):
        assert checks[f"snapshot isolation of {database}"].status == "ok"
        assert checks[f"change tracking of {database}"].status == "ok"
        assert checks[f"right SELECT in {database}.dbo"].status == "ok"
        assert checks[f"right VIEW CHANGE TRACKING in {database}.dbo"].status == "ok"
    assert retailer.rows


def test_missing_rights_on_the_source_name_the_table(
    settings_for: SettingsFactory, legacy: LegacyServer, retailer: LegacyData
) -> None:
    checks = answers(as_login(settings_for(source=legacy, databases=("crm",)), legacy, BLIND), "source")
    select, tracking = checks["right SELECT in crm.dbo"], checks["right VIEW CHANGE TRACKING in crm.dbo"]
    assert (select.status, tracking.status) == ("fail", "fail")
    assert "crm.dbo.Member" in select.found_text
    assert select.remedy_text.startswith("Run in [crm]: GRANT SELECT ON SCHEMA::[dbo] TO [blind]")
    assert checks["right VIEW SERVER STATE"].status == "warn"
    assert retailer.rows


def test_a_database_that_is_not_there(settings_for: SettingsFactory, legacy: LegacyServer) -> None:
    result = run_doctor(settings_for(source=legacy, databases=("nowhere",)))
    databases = next(check for check in result.failures if check.name == "databases")
    assert "nowhere" in databases.found_text


def test_an_administrator_is_more_than_is_needed(
    settings_for: SettingsFactory, legacy: LegacyServer, retailer: LegacyData
) -> None:
    assert answers(settings_for(source=legacy, databases=("crm",)), "source")["least rights"].status == "warn"
    assert retailer.rows


def test_a_wrong_password(settings_for: SettingsFactory, legacy: LegacyServer) -> None:
    settings = settings_for(source=legacy)
    url = SecretStr(legacy.url.replace(legacy.password, "wrong"))
    checks = answers(settings.model_copy(update={"source": settings.source.model_copy(update={"url": url})}), "source")
    assert list(checks) == ["connection"]
    assert "wrong user or password" in checks["connection"].found_text


def test_a_clock_that_is_off_is_measured_within_its_error() -> None:
    skew = measure_skew(lambda: datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=90))
    assert abs(skew.seconds - 90) <= skew.error + 0.005


def as_login(settings: Settings, legacy: LegacyServer, login: str) -> Settings:
    """The same settings with another login of the legacy server."""
    url = SecretStr(legacy.url.replace(f"//{legacy.user}:", f"//{login}:", 1))
    return settings.model_copy(update={"source": settings.source.model_copy(update={"url": url})})

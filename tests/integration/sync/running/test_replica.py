"""A real replica that is behind holds sync; one that has caught up lets it go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import TargetError
from etl.settings import Settings, SourceSettings, SyncSettings, TargetSettings, ThrottleSettings
from etl.sync.throttle_probes import ReplicaProbe, probes_of
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.mariadb import install_mariadb, start_mariadb
from fixtures.processes import LOOPBACK, free_port, stop_process
from tests.integration.sync.running.support import until

FIRST = "CREATE USER 'app'@'127.0.0.1' IDENTIFIED BY 'x';\nGRANT ALL ON *.* TO 'app'@'127.0.0.1';\n"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """URLs of a server and of its replica."""
    marks, urls = [], []
    for number in (1, 2):
        folder, port = tmp_path / str(number), free_port()
        folder.mkdir()
        install_mariadb(folder)
        (folder / "first.sql").write_text(FIRST)
        extra = (f"--server-id={number}", *(("--log-bin=binary",) if number == 1 else ()))
        marks.append(start_mariadb(folder, port, folder / "first.sql", buffer_mib=32, extra=extra))
        urls.append(f"mysql://app:x@{LOOPBACK}:{port}")
    yield urls[0], urls[1]
    for mark in marks:
        stop_process(mark, grace_s=5)


def connected(url: str) -> BulkConnection:
    """A connection, once the server is there."""
    settings = TargetSettings(url=SecretStr(url))

    def answers() -> bool:
        try:
            connect_bulk(settings, "").close()
        except TargetError:
            return False
        return True

    until(answers, look_s=0.3)
    return connect_bulk(settings, "")


@pytest.mark.proof
def test_the_lag_of_a_real_replica(servers: tuple[str, str]) -> None:
    first, second = servers
    throttle = ThrottleSettings(replicas=(SecretStr(second),), max_lag_s=2)
    settings = Settings(
        source=SourceSettings(url=SecretStr("mssql://nobody:x@127.0.0.1:1")),
        target=TargetSettings(url=SecretStr(first)),
        sync=SyncSettings(throttle=throttle),
    )
    (probe,) = probes_of(settings)
    assert isinstance(probe, ReplicaProbe)
    with connected(first) as leader, connected(second) as follower:
        file, at = leader.query("SHOW MASTER STATUS")[0][:2]
        port = first.rpartition(":")[2]
        follower.execute(
            f"CHANGE MASTER TO MASTER_HOST='{LOOPBACK}', MASTER_PORT={port}, MASTER_USER='app', MASTER_PASSWORD='x', "
            f"MASTER_LOG_FILE='{file}', MASTER_LOG_POS={at}, MASTER_DELAY=6"
        )
        assert probe.measure() is None  # it does not follow yet
        follower.execute("START SLAVE")
        until(lambda: probe.measure() == 0, look_s=0.3)
        leader.execute("CREATE DATABASE shop")
        until(lambda: (probe.measure() or 0) > 2, look_s=0.3)
        until(lambda: probe.measure() == 0, look_s=0.3)

"""COMMIT can fail in ways that leave it open whether it happened: no row may be lost or loaded twice."""

from __future__ import annotations

import threading

import pytest

from etl.load.batch import BatchWriter
from etl.settings import TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from etl.target.errors import describe
from tests.integration.load.support import batch_of, part_for, writer_for
from tests.integration.load.test_batch import COLUMNS, campaigns, count


class LosesCommitAnswer(BulkConnection):
    """A connection whose first COMMIT happens on the server, while its answer never arrives."""

    lost = False

    def commit(self) -> None:
        """Commit; the first time report a lost connection."""
        super().commit()
        if not self.lost:
            self.lost = True
            self.close()
            raise describe(2013)


def test_a_commit_whose_answer_is_lost_is_not_done_twice(connection: BulkConnection, ready_target: TargetSettings) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    with LosesCommitAnswer(ready_target) as unlucky:
        counts = writer_for(unlucky, ready_target).write(batch_of(part, campaigns(100)))

    assert counts.loaded == 100
    assert count(connection, ready_target) == 100
    assert int(connection.scalar(f"SELECT COUNT(*) FROM `{ready_target.state_schema}`.load_checkpoint")) == 1


def test_a_connection_killed_in_mid_batch_is_made_again(connection: BulkConnection, ready_target: TargetSettings) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())

    class KilledOnce(BulkConnection):
        killed = False

        def load_rows(self, *arguments, **options):  # type: ignore[no-untyped-def]  # passes everything on
            outcome = super().load_rows(*arguments, **options)
            if not self.killed:
                self.killed = True
                connection.execute(f"KILL {int(self.scalar('SELECT CONNECTION_ID()'))}")
            return outcome

    with KilledOnce(ready_target) as unlucky:
        counts = writer_for(unlucky, ready_target).write(batch_of(part, campaigns(100)))

    assert counts.loaded == 100
    assert count(connection, ready_target) == 100


@pytest.mark.parametrize("copies", [3])
def test_copies_that_load_the_same_batch_at_once_load_it_once(
    connection: BulkConnection, ready_target: TargetSettings, copies: int
) -> None:
    part = part_for(connection, ready_target, "campaign", COLUMNS, ())
    start = threading.Barrier(copies)
    loaded: list[int] = []

    def load(writer: BatchWriter) -> None:
        start.wait()
        loaded.append(writer.write(batch_of(part, campaigns(200))).loaded)

    connections = [connect_bulk(ready_target) for _ in range(copies)]
    threads = [threading.Thread(target=load, args=(writer_for(one, ready_target),)) for one in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in connections:
        one.close()

    assert sorted(loaded) == [0] * (copies - 1) + [200]
    assert count(connection, ready_target) == 200

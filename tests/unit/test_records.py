"""What a command noted last: whole or not at all, and never a better result than the last one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import ConfigurationError
from etl.progress import Silent
from etl.reconcile.differences import Kind, ReconcileResult, TableResult
from etl.reconcile.record import record_rows
from etl.records import RECONCILE_ROWS, Record, read_record, record_path, write_record
from etl.settings import Settings, SourceSettings, StateSettings, TargetSettings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def result_of(differing: int) -> ReconcileResult:
    """One table."""
    return ReconcileResult((TableResult("store", 1, 1, 1, 1, 0, {Kind.CHANGED: differing}, ()),), NOON, "", differing, 0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With a state folder of its own, and no servers."""
    return Settings(
        source=SourceSettings(url=SecretStr("mssql://a:b@127.0.0.1:1")),
        target=TargetSettings(url=SecretStr("mysql://a:b@127.0.0.1:1")),
        state=StateSettings(dir=tmp_path),
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_record(tmp_path, "a", NOON, {"figure": 1.5})
    assert read_record(tmp_path, "a") == Record(NOON, {"figure": 1.5})
    assert read_record(tmp_path, "b") is None
    assert record_path(tmp_path, "a").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "{", '{"format": 1', "[]", '{"format": 7}'])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    write_record(tmp_path, "a", NOON, {})
    record_path(tmp_path, "a").write_text(content, "utf-8")
    with pytest.raises(ConfigurationError, match="not the record"):
        read_record(tmp_path, "a")


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def test_a_result_that_cannot_be_noted_takes_the_old_one_with_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bug would cost: the disk is full, and the gate goes on showing the clean comparison of yesterday; or the comparison
    of an hour ends in an error about a small file."""
    record_rows(settings, result_of(0), ["store"], Silent())
    assert read_record(settings.state_dir, RECONCILE_ROWS) is not None

    def full(*_: object) -> None:
        raise ConfigurationError("The disk is full.", "Free some space.")

    monkeypatch.setattr("etl.reconcile.record.write_record", full)
    notes = Notes()
    record_rows(settings, result_of(3), ["store"], notes)
    assert read_record(settings.state_dir, RECONCILE_ROWS) is None
    assert "The disk is full." in notes.said[0]


def test_a_damaged_record_is_begun_anew(settings: Settings) -> None:
    record_rows(settings, result_of(0), ["store"], Silent())
    record_path(settings.state_dir, RECONCILE_ROWS).write_text("{", "utf-8")
    record_rows(settings, result_of(2), ["store", "sale"], Silent())
    record = read_record(settings.state_dir, RECONCILE_ROWS)
    assert record is not None
    assert record.body["all"] == ["sale", "store"]
    assert record.body["tables"]["store"]["differing"] == 2

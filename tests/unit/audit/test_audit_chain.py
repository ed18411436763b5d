"""The audit log: every kind of tampering is found, and named where it begins; nothing secret is in it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from etl.errors import ConfigurationError, UsageError
from etl.settings import Settings, SourceSettings, TargetSettings
from etl.state_db import STATE_DB
from migrations.audit.arguments import masked_arguments, masked_text, secrets_of
from migrations.audit.entry import canonical, hash_of, parse_head
from migrations.audit.export import export_audit
from migrations.audit.log import read_entries, read_head, record_begin, record_end
from migrations.audit.verify import verify_audit, verify_export, verify_rows
from migrations.audit.view import AuditQuery, read_audit
from migrations.audit.who import Actor, actor_here, user_name

WANG = Actor("wang", ("dba",), "db1", 42)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Three commands that ended and one that was killed: entries 1 to 7."""
    for number in range(3):
        begun = record_begin(tmp_path, WANG, "sync pause", {"by": f"person {number}"})
        record_end(tmp_path, begun, 0, "done")
    record_begin(tmp_path, WANG, "load", {"execute": True})
    return tmp_path


def tamper(state_dir: Path, *statements: str) -> None:
    """What somebody with a SQLite shell does: the triggers do not stop them."""
    with sqlite3.connect(state_dir / STATE_DB, isolation_level=None) as connection:
        connection.execute("DROP TRIGGER audit_entry_stays")
        connection.execute("DROP TRIGGER audit_entry_remains")
        for statement in statements:
            connection.execute(statement)
    connection.close()


def rehash(state_dir: Path, number: int) -> None:
    """Give one entry the hash that its new content has."""
    with sqlite3.connect(state_dir / STATE_DB, isolation_level=None) as connection:
        at, kind, body, previous = connection.execute(
            "SELECT at, kind, body, previous FROM audit_entry WHERE number = ?", (number,)
        ).fetchone()
        import json

        digest = hash_of(number, at, kind, json.loads(body), previous)
        connection.execute("UPDATE audit_entry SET hash = ? WHERE number = ?", (digest, number))
    connection.close()


def test_an_untouched_log_is_sound_and_names_the_killed_command(written: Path) -> None:
    found = verify_audit(written, read_head(written))
    assert (found.sound, found.entries, found.unended, found.compared) == (True, 7, (7,), True)


def test_an_ordinary_update_or_delete_is_refused_by_the_file_itself(written: Path) -> None:
    for statement in ("UPDATE audit_entry SET at = 'x' WHERE number = 1", "DELETE FROM audit_entry"):
        connection = sqlite3.connect(written / STATE_DB)
        with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
            connection.execute(statement)
        connection.close()


@pytest.mark.parametrize(
    ("statement", "fault", "number"),
    [
        ("""UPDATE audit_entry SET body = replace(body, 'person 1', 'person 9') WHERE number = 3""", "edited", 3),
        ("UPDATE audit_entry SET at = '2020-01-01T00:00:00.000+00:00' WHERE number = 2", "edited", 2),
        ("UPDATE audit_entry SET kind = 'begin' WHERE number = 4", "edited", 4),
        ("UPDATE audit_entry SET body = body || ' ' WHERE number = 5", "edited", 5),
        ("UPDATE audit_entry SET body = '{' WHERE number = 5", "unreadable", 5),
        ("DELETE FROM audit_entry WHERE number = 3", "removed", 3),
        ("DELETE FROM audit_entry WHERE number = 1", "removed", 1),
        ("INSERT INTO audit_entry SELECT 8, at, kind, body, previous, hash FROM audit_entry WHERE number = 7", "edited", 8),
        ("INSERT INTO audit_entry SELECT 0, at, kind, body, previous, hash FROM audit_entry WHERE number = 1", "edited", 1),
    ],
)
def test_each_kind_of_tampering_is_named(written: Path, statement: str, fault: str, number: int) -> None:
    tamper(written, statement)
    found = verify_audit(written)
    assert (found.sound, found.fault, found.first_bad, found.entries) == (False, fault, number, number - 1)


def test_two_entries_that_changed_places_are_found(written: Path) -> None:
    tamper(
        written,
        "UPDATE audit_entry SET number = 99 WHERE number = 3",
        "UPDATE audit_entry SET number = 3 WHERE number = 5",
        "UPDATE audit_entry SET number = 5 WHERE number = 99",
    )
    assert (verify_audit(written).sound, verify_audit(written).first_bad) == (False, 3)


def test_an_edit_with_a_new_hash_breaks_the_entry_after_it(written: Path) -> None:
    tamper(written, "UPDATE audit_entry SET body = replace(body, 'person 1', 'person 9') WHERE number = 3")
    rehash(written, 3)
    found = verify_audit(written)
    assert (found.fault, found.first_bad) == ("does not follow", 4)


def test_a_tail_that_was_cut_off_shows_against_a_head_kept_elsewhere(written: Path) -> None:
    head = read_head(written)
    tamper(written, "DELETE FROM audit_entry WHERE number > 5")
    assert verify_audit(written).sound, "nothing inside the log can show it: that is what the head is for"
    found = verify_audit(written, head)
    assert (found.fault, found.first_bad) == ("cut off", 6)
    assert verify_audit(written, parse_head(f"5:{verify_audit(written).head.hash}")).sound  # type: ignore[union-attr]


def test_a_log_written_anew_shows_against_the_head(written: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    head = read_head(written)
    other = tmp_path_factory.mktemp("other")
    for _ in range(4):
        record_end(other, record_begin(other, WANG, "sync pause", {}), 0, "done")
    found = verify_audit(other, head)
    assert (found.fault, found.first_bad) == ("rewritten", 7)


def test_a_log_that_is_gone_shows_against_the_head(written: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    assert verify_audit(empty, read_head(written)).fault == "cut off"
    assert verify_audit(empty).sound
    assert not (empty / STATE_DB).exists(), "looking creates nothing"


def test_an_export_can_be_proved_where_the_log_is_not(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    exported = export_audit(written, path)
    assert exported.entries == 7
    assert verify_export(path, exported.head).sound
    lines = path.read_text("utf-8").splitlines(keepends=True)
    for changed in (
        lines[:2] + lines[3:],
        [lines[0], lines[2], lines[1], *lines[3:]],
        [*lines[:3], lines[3].replace("done", "gone"), *lines[4:]],
        [*lines[:3], lines[2], *lines[3:]],
        [*lines[:3], lines[3].replace(",", ", "), *lines[4:]],
        lines[:-1],
        [*lines[:3], "\n", *lines[3:]],
    ):
        path.write_text("".join(changed), "utf-8")
        assert not verify_export(path, exported.head).sound


@given(data=st.data())
def test_no_change_of_any_field_of_any_entry_is_overlooked(data: st.DataObject) -> None:
    rows = []
    previous = "0" * 64
    for number in range(1, data.draw(st.integers(2, 6)) + 1):
        body = {"command": data.draw(st.text(st.characters(exclude_categories=["Cs"]), max_size=5)), "exit_code": number % 3}
        digest = hash_of(number, "2026-01-01T00:00:00.000+00:00", "begin", body, previous)
        rows.append(
            {"number": number, "at": "2026-01-01T00:00:00.000+00:00", "kind": "begin", "body": canonical(body)}
            | {"previous": previous, "hash": digest}
        )
        previous = digest
    assert verify_rows(rows, None).sound
    place = data.draw(st.integers(0, len(rows) - 1))
    field = data.draw(st.sampled_from(["number", "at", "kind", "body", "previous", "hash"]))
    old = rows[place][field]
    new = old + data.draw(st.integers(1, 3)) if isinstance(old, int) else data.draw(st.text(max_size=70))
    if new == old:
        return
    rows[place] = rows[place] | {field: new}
    found = verify_rows(rows, None)
    assert not found.sound
    assert found.first_bad == place + 1


def test_the_formula_in_the_documents_is_the_one_in_use() -> None:
    """Whoever checks an export with a program of their own follows docs/audit.md."""
    import hashlib

    text = '{"at":"2026-11-23T01:02:03.456+00:00","body":{"a":"王"},"kind":"begin","number":1,"previous":"' + "0" * 64 + '"}'
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert hash_of(1, "2026-11-23T01:02:03.456+00:00", "begin", {"a": "王"}, "0" * 64) == expected


def test_the_log_shows_how_each_command_ended(written: Path) -> None:
    log = read_audit(written, AuditQuery(limit=2))
    assert [(one.number, one.command, one.exit_code) for one in log.shown] == [(7, "load", None), (5, "sync pause", 0)]
    assert (log.matching, log.commands, log.unended) == (4, 4, 1)
    assert read_audit(written, AuditQuery(command="sync")).matching == 3
    assert read_audit(written, AuditQuery(command="syn")).matching == 0
    assert read_audit(written, AuditQuery(user="li")).matching == 0
    assert read_audit(written, AuditQuery(since="2999")).matching == 0


def test_a_state_folder_that_cannot_be_written_is_an_error_before_anything_happens(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError):
        record_begin(tmp_path / "file", WANG, "load", {})


def test_a_full_disk_is_an_error_and_leaves_the_log_whole(written: Path) -> None:
    """A file that may not grow stands in for a disk that is full."""
    code = f"""
import resource, sys
from pathlib import Path
from etl.errors import ConfigurationError
from migrations.audit.log import record_begin
from migrations.audit.who import Actor
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    for _ in range(1_000):
        record_begin(Path({str(written)!r}), Actor("wang"), "load", {{"text": "x" * 300}})
except ConfigurationError:
    sys.exit(3)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert done.returncode == 3, done.stderr.decode()
    found = verify_audit(written)
    assert found.sound
    assert found.entries > 7


def test_entries_are_added_one_after_the_other_by_many_processes(tmp_path: Path) -> None:
    import threading

    def note() -> None:
        for _ in range(5):
            record_end(tmp_path, record_begin(tmp_path, WANG, "load", {}), 0, "done")

    threads = [threading.Thread(target=note) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verify_audit(tmp_path)
    assert (found.sound, found.entries, found.unended) == (True, 40, ())
    assert len(list(read_entries(tmp_path))) == 40


@pytest.mark.parametrize("text", ["", "12", "x:" + "a" * 64, "1:" + "A" * 64, "1:abc", "-1:" + "a" * 64])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_head(text)


def test_a_float_has_no_place_in_what_is_hashed() -> None:
    with pytest.raises(TypeError):
        canonical({"seconds": 1.5})


SECRETS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("the password as it is", lambda password: f"--note {password}"),
    ("inside a URL", lambda password: f"mysql://root:{password}@db:4000/x"),
    ("after its name", lambda password: f"https://hooks.example.com/?access_token={password}&x=1"),
)


@pytest.mark.parametrize(("_where", "place"), SECRETS, ids=[name for name, _ in SECRETS])
def test_no_secret_of_the_configuration_gets_into_the_log(_where: str, place: Callable[[str], str]) -> None:
    settings = Settings(
        source=SourceSettings(url=SecretStr("mssql://sa:Pa%24%24w0rd!x@h:1433")),
        target=TargetSettings(url=SecretStr("mysql://root:Hunter22@h:4000")),
    )
    secrets = tuple(secrets_of(settings))
    for password in ("Pa%24%24w0rd!x", "Pa$$w0rd!x", "Hunter22"):
        shown = str(masked_arguments({"anything": place(password)}, secrets))
        assert password not in shown


def test_personal_values_typed_on_the_line_are_masked() -> None:
    text = masked_text("refund for 13912345678, 110101199003071234, wang@example.com")
    assert not [value for value in ("13912345678", "110101199003071234", "wang@example.com") if value in text]


def test_half_a_surrogate_pair_from_the_shell_does_not_stop_the_command(tmp_path: Path) -> None:
    arguments = masked_arguments({"path": Path("caf\udce9")})
    record_end(tmp_path, record_begin(tmp_path, WANG, "import", arguments), 0, "done")
    assert verify_audit(tmp_path).sound


def test_who_it_was_comes_from_the_system_not_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    me = user_name(os.getuid())
    actor = actor_here({"ops": [me], "dba": ["somebody-else"]})
    assert (actor.user, actor.roles) == (me, ("ops",))

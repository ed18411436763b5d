"""Alerts reach people: once each, in time, again when nobody answers, and however long the receiver was away."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from etl.errors import UsageError
from etl.state_db import STATE_DB
from migrations.release.alerts.book import acknowledge, open_red, raise_alerts, read_alerts, resolve_alert, settle
from migrations.release.alerts.desk import open_desk
from migrations.release.alerts.model import Alert
from migrations.release.alerts.outbox import pump
from migrations.release.alerts.send import NotSent, notify, send
from migrations.release.alerts.settings import AlertSettings
from migrations.release.alerts.text import Message
from tests.unit.release.alerts.receiver import Receiver, open_receiver

T0 = datetime(2026, 11, 23, 1, 0, 0, tzinfo=UTC)
RED = Alert("errors", "red", "Errors above 2 %", "4.1 % of 900 requests failed.", "3 stores went back.", "Look at TiDB.")
YELLOW = Alert("lag", "yellow", "Sync is behind", "80 s.", "", "membershift sync status")
BLUE = Alert("wave 1", "blue", "Wave 1 is through", "All gates passed.")


@pytest.fixture
def ops() -> Iterator[Receiver]:
    """Who is told first."""
    with open_receiver() as receiver:
        yield receiver


@pytest.fixture
def boss() -> Iterator[Receiver]:
    """Who is told when nobody answers."""
    with open_receiver() as receiver:
        yield receiver


def settings(ops: Receiver, boss: Receiver | None = None, **changes: object) -> AlertSettings:
    """All levels to `ops`, then to `boss`."""
    escalate = [boss.url] if boss else []
    lists: dict[str, object] = {"red": [ops.url], "yellow": [ops.url], "blue": [ops.url], "escalate": escalate, "gather_s": 0}
    return AlertSettings.model_validate(lists | changes)


def after(**span: float) -> datetime:
    """A time after the beginning."""
    return T0 + timedelta(**span)


def test_red_is_told_at_once_and_says_what_happened_what_was_done_and_what_to_do(tmp_path: Path, ops: Receiver) -> None:
    chosen = settings(ops)
    raise_alerts(tmp_path, chosen, [RED], T0)
    done = pump(tmp_path, chosen, T0)
    assert (done.made, done.sent, done.waiting) == (1, 1, 0)
    (message,) = ops.got
    assert message["level"] == "red"
    assert message["title"] == "[RED, at once] Errors above 2 %"
    for text in ("What happened: 4.1 %", "What was done: 3 stores", "What to do: Look at TiDB", "alerts acknowledge 1"):
        assert text in message["text"]


def test_in_chinese(tmp_path: Path, ops: Receiver) -> None:
    chosen = settings(ops, lang="zh")
    raise_alerts(tmp_path, chosen, [RED], T0)
    pump(tmp_path, chosen, T0)
    assert "红色" in ops.got[0]["title"]
    assert "发生了什么: 4.1 %" in ops.got[0]["text"]


@pytest.mark.parametrize(("alert", "wait"), [(YELLOW, timedelta(hours=4)), (BLUE, timedelta(hours=24))])
def test_the_others_are_gathered_first_but_told_well_within_their_time(
    tmp_path: Path, ops: Receiver, alert: Alert, wait: timedelta
) -> None:
    chosen = settings(ops)
    raise_alerts(tmp_path, chosen, [alert], T0)
    assert pump(tmp_path, chosen, after(seconds=30)).sent == 0
    assert pump(tmp_path, chosen, T0 + wait / 4).sent == 1


def test_three_thousand_stores_are_one_message(tmp_path: Path, ops: Receiver) -> None:
    """A flood hides what matters, and chats cut senders off."""
    chosen = settings(ops)
    alerts = [Alert(f"store S{number:04}", "red", f"S{number:04} went back", "Errors.") for number in range(3_000)]
    raise_alerts(tmp_path, chosen, alerts, T0)
    assert pump(tmp_path, chosen, T0).sent == 1
    (message,) = ops.got
    assert "3000 alerts" in message["title"]
    assert "and 2980 more" in message["text"]
    assert len(message["text"]) < 4_000


def test_one_cause_is_one_alert_however_often_it_is_raised(tmp_path: Path, ops: Receiver) -> None:
    chosen = settings(ops)
    for second in range(60):
        raise_alerts(tmp_path, chosen, [RED], after(seconds=second))
        pump(tmp_path, chosen, after(seconds=second))
    assert len(ops.got) == 1
    (standing,) = read_alerts(tmp_path)
    assert (standing.count, standing.id) == (60, 1)
    raise_alerts(tmp_path, chosen, [RED], after(seconds=901))
    pump(tmp_path, chosen, after(seconds=901))
    assert len(ops.got) == 2, "still there a quarter of an hour later, and nobody took it on"


def test_one_that_gets_worse_is_told_again_at_once(tmp_path: Path, ops: Receiver) -> None:
    chosen = settings(ops)
    raise_alerts(tmp_path, chosen, [YELLOW], T0)
    pump(tmp_path, chosen, after(hours=1))
    acknowledge(tmp_path, [1], "wang", after(hours=1))
    raise_alerts(tmp_path, chosen, [Alert("lag", "red", "Sync stands still", "600 s.")], after(hours=1, seconds=1))
    pump(tmp_path, chosen, after(hours=1, seconds=1))
    assert [message["level"] for message in ops.got] == ["yellow", "red"]
    assert "got worse" in ops.got[1]["title"]
    assert read_alerts(tmp_path)[0].acknowledged_by == "", "what was acknowledged was the lesser one"


def test_nobody_answers_so_the_next_ones_are_told(tmp_path: Path, ops: Receiver, boss: Receiver) -> None:
    chosen = settings(ops, escalate=[[boss.url], [boss.url]])
    raise_alerts(tmp_path, chosen, [RED], T0)
    pump(tmp_path, chosen, T0)
    assert pump(tmp_path, chosen, after(seconds=899)).escalated == 0
    assert pump(tmp_path, chosen, after(seconds=900)).escalated == 1
    assert [message["title"] for message in boss.got] == ["[RED, at once] Nobody acknowledged it in time. Errors above 2 %"]
    assert pump(tmp_path, chosen, after(seconds=1_800)).sent == 1
    assert pump(tmp_path, chosen, after(days=9)).sent == 0, "there is nobody after the last"
    assert (len(ops.got), len(boss.got)) == (1, 2)


def test_whoever_acknowledges_stops_the_escalation(tmp_path: Path, ops: Receiver, boss: Receiver) -> None:
    chosen = settings(ops, boss)
    raise_alerts(tmp_path, chosen, [RED], T0)
    pump(tmp_path, chosen, T0)
    (taken,) = acknowledge(tmp_path, [1], "wang", after(seconds=60))
    assert (taken.acknowledged_by, taken.open) == ("wang", True)
    acknowledge(tmp_path, [1], "li", after(seconds=61))
    assert read_alerts(tmp_path)[0].acknowledged_by == "wang", "the first one counts"
    assert pump(tmp_path, chosen, after(days=1)).escalated == 0
    assert boss.got == []
    with pytest.raises(UsageError):
        acknowledge(tmp_path, [99], "wang")


def test_what_is_over_is_told_to_all_who_knew_and_may_be_raised_anew(tmp_path: Path, ops: Receiver, boss: Receiver) -> None:
    chosen = settings(ops, boss)
    raise_alerts(tmp_path, chosen, [RED], T0)
    pump(tmp_path, chosen, T0)
    pump(tmp_path, chosen, after(hours=1))
    assert resolve_alert(tmp_path, chosen, "errors", after(hours=2))
    assert not resolve_alert(tmp_path, chosen, "errors", after(hours=2))
    pump(tmp_path, chosen, after(hours=2))
    assert ["Over:" in message["title"] for message in (ops.got[-1], boss.got[-1])] == [True, True]
    assert read_alerts(tmp_path) == ()
    assert raise_alerts(tmp_path, chosen, [RED], after(hours=3)) == (2,)


def test_a_red_alert_holds_a_release_until_its_cause_is_gone_or_somebody_says_so(tmp_path: Path, ops: Receiver) -> None:
    chosen = settings(ops)
    raise_alerts(tmp_path, chosen, [RED, YELLOW], T0)
    acknowledge(tmp_path, [1], "wang", T0)
    assert open_red(tmp_path) == ("#1 Errors above 2 %: 4.1 % of 900 requests failed.",)
    with pytest.raises(UsageError):
        settle(tmp_path, [1, 99], "li", T0)
    assert open_red(tmp_path), "all or none"
    (over,) = settle(tmp_path, [1], "li", after(seconds=5))
    assert (over.acknowledged_by, over.open, open_red(tmp_path)) == ("wang", False, ())


def test_a_receiver_that_was_away_gets_it_later_and_once(tmp_path: Path, ops: Receiver) -> None:
    chosen = settings(ops)
    ops.status = 503
    raise_alerts(tmp_path, chosen, [RED], T0)
    assert pump(tmp_path, chosen, T0).failed == 1
    assert pump(tmp_path, chosen, after(seconds=1)).failed == 0, "not before its time"
    assert pump(tmp_path, chosen, after(seconds=5)).failed == 1
    ops.status = 200
    assert pump(tmp_path, chosen, after(seconds=60)).sent == 1
    assert pump(tmp_path, chosen, after(seconds=600)).sent == 0
    assert (len(ops.got), ops.asked) == (1, 3)


def test_one_that_never_comes_back_is_given_up_at_last(tmp_path: Path, ops: Receiver) -> None:
    chosen = settings(ops)
    ops.status = 500
    raise_alerts(tmp_path, chosen, [RED], T0)
    pump(tmp_path, chosen, T0)
    assert pump(tmp_path, chosen, after(hours=73)).given_up == 1
    assert pump(tmp_path, chosen, after(hours=74)).waiting == 0


def test_one_receiver_that_fails_does_not_keep_it_from_the_other(tmp_path: Path, ops: Receiver, boss: Receiver) -> None:
    chosen = settings(ops, red=[ops.url, boss.url])
    ops.status = 500
    raise_alerts(tmp_path, chosen, [RED], T0)
    assert (pump(tmp_path, chosen, T0).sent, len(boss.got)) == (1, 1)
    ops.status = 200
    pump(tmp_path, chosen, after(seconds=10))
    assert (len(ops.got), len(boss.got)) == (1, 1)


def test_no_address_is_in_the_state_or_in_an_error(tmp_path: Path) -> None:
    """Webhook addresses are passwords: whoever has one can write to the chat."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    chosen = AlertSettings.model_validate({"red": [f"http://127.0.0.1:{port}/hook?token=TOPSECRET"], "gather_s": 0})
    raise_alerts(tmp_path, chosen, [RED], T0)
    assert pump(tmp_path, chosen, T0).failed == 1
    with sqlite3.connect(tmp_path / STATE_DB) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert "cannot be reached (ConnectionRefusedError)" in dump
    assert "TOPSECRET" not in dump
    assert "TOPSECRET" not in repr(chosen)


def test_a_receiver_that_hangs_does_not_hold_up_whoever_raises_an_alert(tmp_path: Path, ops: Receiver) -> None:
    """The controller raises it in the middle of carrying stores back."""
    import threading

    ops.hold = threading.Event()
    with open_desk(tmp_path, settings(ops, timeout_s=5), look_s=0.05) as desk:
        began = time.monotonic()
        desk.raise_alert(RED)
        wait_until(lambda: ops.asked == 1)
        desk.raise_alert(BLUE)
        assert time.monotonic() - began < 4
        assert len(read_alerts(tmp_path)) == 2
        ops.hold.set()
        wait_until(lambda: len(ops.got) == 1)


def test_the_controller_tells_in_its_own_words(tmp_path: Path, ops: Receiver) -> None:
    with open_desk(tmp_path, settings(ops), look_s=0.05, about="autumn") as desk:
        desk.tell("red", "rollback", "4.1 % of 900 requests failed.", "3 stores go back.", "membershift release watch")
        wait_until(lambda: len(ops.got) == 1)
        assert ops.got[0]["title"] == "[RED, at once] autumn: 4.1 % of 900 requests failed."
        desk.resolve("rollback")
        wait_until(lambda: len(ops.got) == 2)
    assert read_alerts(tmp_path) == ()


def test_an_alert_that_cannot_be_written_down_waits_in_memory_and_is_not_an_error(tmp_path: Path, ops: Receiver) -> None:
    """A full disk must not stop a rollback."""
    folder = tmp_path / "state"
    folder.write_text("a file where the state folder should be")
    with open_desk(folder, settings(ops), look_s=0.05) as desk:
        desk.raise_alert(RED)
        wait_until(lambda: bool(desk.trouble))
        desk.resolve("errors")
        desk.raise_alert(RED, BLUE)
        folder.unlink()
        wait_until(lambda: len(ops.got) == 1)
    assert [one.alert.key for one in read_alerts(folder)] == ["errors", "wave 1"]


def test_what_was_not_sent_before_a_crash_is_sent_after_it(tmp_path: Path, ops: Receiver) -> None:
    raise_alerts(tmp_path, settings(ops), [RED])
    with open_desk(tmp_path, settings(ops), look_s=0.05):
        wait_until(lambda: len(ops.got) == 1)


def wait_until(done: object) -> None:
    """At most 20 seconds."""
    assert callable(done)
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(0.01)


def test_without_apprise_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotSent, match="not installed"):
        send("mailto://ops:secret@example.com", Message("red", "t", "b"), 1)


def test_through_apprise(ops: Receiver) -> None:
    pytest.importorskip("apprise")
    notify(ops.url.replace("http://", "json://"), Message("red", "title", "body"))
    assert (ops.got[0]["title"], ops.got[0]["message"], ops.got[0]["type"]) == ("title", "body", "failure")
    ops.status = 500
    with pytest.raises(NotSent, match="could not deliver"):
        notify(ops.url.replace("http://", "json://"), Message("red", "title", "body"))
    with pytest.raises(NotSent, match="does not understand"):
        notify("nonsense", Message("red", "title", "body"))


def test_an_address_that_is_a_secret_as_a_whole_is_read_as_it_is_meant() -> None:
    chosen = AlertSettings.model_validate({"red": ["https%3A%2F%2Fchat.example%2Fhook%3Ftoken%3Da%252Fb"]})
    assert chosen.address("red/1") == "https://chat.example/hook?token=a%2Fb"
    assert chosen.address("red/2") is None


def test_a_mistyped_key_is_refused() -> None:
    with pytest.raises(ValidationError):
        AlertSettings.model_validate({"rde": []})

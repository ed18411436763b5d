"""The low watermark stays below whatever is still under way."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from etl.errors import RefusedError
from etl.sync.capture.requirements import require_clock, require_process
from etl.sync.capture.rows import microseconds
from etl.sync.capture.watermark import LEAST_ALLOWANCE_US, Watermark, low_watermark
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from tests.integration.sync.capture.conftest import Place

ALLOWANCE = timedelta(microseconds=LEAST_ALLOWANCE_US)


def below(watermark: Watermark) -> timedelta:
    """How far it is behind the target's clock, without the allowance."""
    assert watermark.value_us is not None
    return timedelta(microseconds=microseconds(watermark.now) - watermark.value_us) - ALLOWANCE


def ask(connection: BulkConnection) -> Watermark:
    """With the least allowance."""
    return low_watermark(connection, LEAST_ALLOWANCE_US)


def test_an_idle_target_holds_nothing_back(place: Place) -> None:
    # MariaDB tells the start of transactions in whole seconds, and that of our own counts.
    assert below(ask(place.connection)) <= timedelta(seconds=1.5)


def test_a_transaction_held_by_an_idle_session_in_another_zone_holds_it_back(place: Place) -> None:
    with place.another() as other:
        other.execute("SET time_zone = '+08:00'")
        other.begin()
        other.execute("UPDATE line SET amount = 9 WHERE sale_no = 'A' AND line_no = 1")
        began = other.scalar("SELECT UTC_TIMESTAMP(6)")
        time.sleep(1.3)
        held = ask(place.connection)
        other.rollback()
    assert held.held_by == "transaction"
    assert held.value_us is not None
    assert held.value_us <= microseconds(began) - LEAST_ALLOWANCE_US
    time.sleep(0.15)
    assert below(ask(place.connection)) <= timedelta(seconds=1.5)


def test_a_statement_outside_a_transaction_holds_it_back(place: Place) -> None:
    with place.another() as other:
        asleep = threading.Thread(target=other.query, args=("SELECT SLEEP(2)",))
        asleep.start()
        time.sleep(1.4)
        held = ask(place.connection)
        asleep.join()
    assert below(held) >= timedelta(seconds=1.3)


def test_transactions_are_seen_however_often_one_looks(place: Place) -> None:
    # MariaDB shows an old list to who polls faster than every 0.1 s: then the watermark stands still.
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        ask(place.connection)
    with place.another() as other:
        other.begin()
        other.execute("UPDATE line SET amount = 9 WHERE sale_no = 'A' AND line_no = 1")
        began = microseconds(other.scalar("SELECT UTC_TIMESTAMP(6)"))
        deadline = time.monotonic() + 1.6
        while time.monotonic() < deadline:
            value = ask(place.connection).value_us
            assert value is None or value <= began - LEAST_ALLOWANCE_US
        other.rollback()


def test_a_login_that_cannot_see_others_is_refused(place: Place) -> None:
    require_process(place.connection)
    require_clock(place.connection)
    user = f"blind_{place.schema}"
    place.execute(f"CREATE USER '{user}'@'%%' IDENTIFIED BY 'blind-1-Blind'")
    try:
        place.execute(f"GRANT SELECT, UPDATE ON {place.schema}.* TO '{user}'@'%%'")
        url = make_url(place.settings.url.get_secret_value()).set(username=user, password="blind-1-Blind")
        settings = place.settings.model_copy(update={"url": SecretStr(url.render_as_string(hide_password=False))})
        with connect_bulk(settings) as blind, pytest.raises(RefusedError) as refused:
            require_process(blind)
        assert f"GRANT PROCESS ON *.* TO '{user}'@" in refused.value.remedy
    finally:
        place.execute(f"DROP USER '{user}'@'%%'")

"""Two stores on a target, with sales, lines, points and coupons of both, and members that belong to both."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.settings import Settings, SnapshotSettings, SourceSettings, StateSettings, TargetSettings
from etl.target.bulk import BulkConnection
from etl.target.connect import connect_bulk
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

KEY = "ab" * 32
STORES = ("S001", "S002")
SALES = 30


@pytest.fixture(scope="module")
def tables(target_server: TargetServer) -> Iterator[TargetSettings]:
    """Schemas that the tests of a file share: making them is slow."""
    settings = TargetSettings(url=SecretStr(target_server.url), schema="snap_m", state_schema="snap_s", retries=1)
    drop_schemas(settings)
    schema_up(settings)
    yield settings
    drop_schemas(settings)


@pytest.fixture
def settings(tables: TargetSettings, tmp_path: Path) -> Settings:
    """Encrypted snapshots in a state folder of their own."""
    return Settings(
        source=SourceSettings(url=SecretStr("mssql://nobody:x@127.0.0.1:1"), retries=0),
        target=tables,
        snapshots=SnapshotSettings(key=SecretStr(KEY)),
        state=StateSettings(dir=tmp_path / "state"),
        origin=tmp_path / "membershift.toml",
    )


@pytest.fixture
def shop(settings: Settings) -> Iterator[BulkConnection]:
    """The target, filled anew: nobody else writes to it."""
    with connect_bulk(settings.target) as target:
        for table in ("sale_line", "coupon_event", "points_ledger", "sale", "member", "store"):
            target.execute(f"DELETE FROM {table}")
        fill(target)
        yield target


def fill(target: BulkConnection) -> None:
    """SALES sales of each store, with two lines each, half of them with points, and coupons on some."""
    start = datetime(2026, 11, 1, 9, 0, 0, 123456)
    for number, store in enumerate(STORES):
        target.execute("INSERT INTO store (store_code, name, is_open) VALUES (%s, %s, 1)", (store, f"门店 {number}"))
    target.execute(
        "INSERT INTO member (member_id, name, tier, points, balance, store_code, registered_at, origin) "
        "VALUES (7, '欧阳小明', 'GOLD', 100, 0, 'S001', %s, 'crm')",
        (start,),
    )
    with target.transaction():
        for number in range(SALES * len(STORES)):
            store, sale = STORES[number % 2], f"N{number:04}"
            at = start + timedelta(hours=number, microseconds=number)
            target.execute(
                "INSERT INTO sale (sale_no, channel, store_code, member_id, sold_at, status, total, discount, freight, paid) "
                "VALUES (%s, 'pos', %s, 7, %s, 'paid', %s, 0, 0, %s)",
                (sale, store, at, Decimal("10.0001") * number, Decimal("10.0001") * number),
            )
            for line in (1, 2):
                target.execute(
                    "INSERT INTO sale_line (sale_no, line_no, product_id, quantity, unit_price, amount) "
                    "VALUES (%s, %s, %s, 1.5, 2.25, 3.375)",
                    (sale, line, 100 + line),
                )
            if number % 4 < 2:
                target.execute(
                    "INSERT INTO points_ledger (entry_id, member_id, delta, reason, ref_no, store_code, note, occurred_at, "
                    "origin, origin_id) VALUES (%s, 7, 5, 'spend', %s, %s, %s, %s, 'crm', %s)",
                    (number + 1, sale, store, "注,记\n'\\" if number else None, at, f"o{number}"),
                )
            if number % 6 < 2:
                target.execute(
                    "INSERT INTO coupon_event (coupon_event_id, coupon_id, member_id, event, sale_no, occurred_at) "
                    "VALUES (%s, 1, 7, 'redeem', %s, %s)",
                    (number + 1, sale, at),
                )

"""A small chain with both its sides: a legacy server that may be written to, and a target with the same members."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.settings import SourceSettings, TargetSettings
from fixtures.data.fill import create_legacy_tables, fill_legacy
from fixtures.data.generate import LegacyData, generate
from fixtures.legacy_server.launcher import LegacyServer, start_legacy_server, stop_legacy_server
from fixtures.storefront.connections import Sides, TargetSession
from fixtures.storefront.routes import split_stores, write_routes
from fixtures.storefront.world import read_stores
from fixtures.target import TargetServer
from migrations.schema.commands import schema_up
from tests.conftest import drop_schemas

FIRST_NEW_MEMBER = 2**32


@dataclass(frozen=True)
class Chain:
    """Both servers, the settings of both, and a file of routes that spreads the stores over them."""

    legacy: LegacyServer
    target: TargetServer
    sides: Sides
    routes: Path

    @property
    def legacy_only(self) -> Sides:
        return Sides(self.sides.legacy, None)

    @property
    def target_only(self) -> Sides:
        return Sides(None, self.sides.target)


@pytest.fixture(scope="session")
def chain(target_server: TargetServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """200 members; on the target only what a till needs to know of them."""
    folder = tmp_path_factory.mktemp("storefront")
    legacy = start_legacy_server(folder / "legacy", password=secrets.token_urlsafe(12), databases=())
    target = TargetSettings(url=SecretStr(target_server.url), schema="storefront_m", state_schema="storefront_s")
    try:
        data = generate(200, 11, folder / "data")
        create_legacy_tables(legacy)
        fill_legacy(legacy, data)
        drop_schemas(target)
        schema_up(target, "head")
        fill_target(target, data)
        sides = Sides(SourceSettings(url=SecretStr(legacy.url), databases=("crm", "pos", "ecom")), target)
        write_routes(folder / "routes.json", split_stores(read_stores(sides), 0.5))
        yield Chain(legacy, target_server, sides, folder / "routes.json")
    finally:
        stop_legacy_server(folder / "legacy")
        drop_schemas(target)


def fill_target(settings: TargetSettings, data: LegacyData) -> None:
    """Stores, goods, consents and members. Every other card and account belongs to a CRM member, so that some persons have
    several records; the rest are persons of their own."""
    session = TargetSession(settings)
    insert(session, "store (store_code, name, is_open)", data.frame("pos.dbo.Store").select("StoreCode", "Name", "IsOpen").rows())
    products = data.frame("pos.dbo.Product").select("ProductId", "Name", "Price", "IsPrivateLabel").head(500)
    insert(session, "product (product_id, name, price, is_private_label)", products.rows())
    crm = data.frame("crm.dbo.Member").select("MemberId", "Points").rows()
    members = {f"crm:{key}": int(key) for key, _ in crm}
    for system, table, key in (("pos", "pos.dbo.PosMember", "CardNo"), ("ecom", "ecom.dbo.Account", "AccountId")):
        for place, record in enumerate(data.frame(table)[key]):
            shared = place % 2 == 0 and place < len(crm)
            members[f"{system}:{record}"] = int(crm[place][0]) if shared else FIRST_NEW_MEMBER + len(members)
    points = {int(member): int(balance) for member, balance in crm}
    insert(
        session,
        "member (member_id, points, tier, balance, registered_at, origin)",
        [(member, points.get(member, 0), "BRONZE", 0, "2018-01-01", "crm") for member in sorted(set(members.values()))],
    )
    links = [(*record.split(":"), member, "2018-01-01", "dedupe") for record, member in members.items()]
    insert(session, "member_source (source, source_id, member_id, valid_from, linked_by)", links)
    consents = data.frame("crm.dbo.Consent").select("ConsentId", "MemberId", "Kind", "Granted", "Source")
    rows = [(*row, "2018-01-01") for row in consents.rows()]
    insert(session, "consent (consent_id, member_id, kind, granted, source, granted_at)", rows)
    session.commit()
    session.close()


def insert(session: TargetSession, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """All rows in one statement."""
    one = f"({', '.join(['%s'] * len(rows[0]))})"
    session.query(f"INSERT INTO {table} VALUES {', '.join([one] * len(rows))}", [value for row in rows for value in row])

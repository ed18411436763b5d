"""What a synchronisation without faults would have done, an entry of the logs at a time: plain enough to be believed."""

from __future__ import annotations

from collections.abc import Iterable

from etl.source.session import PlainSession
from fixtures.storefront.connections import Sides, TargetSession, open_legacy
from fixtures.storefront.effects import (
    ConsentSet,
    Effect,
    Enrolled,
    PointsMoved,
    ProfileSet,
    SaleMade,
    SignedIn,
    StatusSet,
)
from fixtures.storefront.facts import keys_of
from fixtures.storefront.journal import Entry
from fixtures.storefront.legacy_till import FIELD_COLUMNS, RECORD_TABLES
from fixtures.storefront.moments import Moment

FIRST_NEW_MEMBER = 2**40


class Mirror:
    """Brings each entry to the side that did not see it, and the crosswalk up to date."""

    def __init__(self, sides: Sides) -> None:
        assert sides.target is not None
        self.legacy: PlainSession = open_legacy(sides.source())
        self.target = TargetSession(sides.target)
        self.member_of: dict[str, int] = {}
        self.new_members = iter(range(FIRST_NEW_MEMBER, FIRST_NEW_MEMBER + 10_000))
        for source, key, member in self.target.query("SELECT source, source_id, member_id FROM member_source"):
            self.member_of[f"{source}:{key}"] = int(member)

    def bring(self, entries: Iterable[Entry]) -> None:
        """All entries, in the order in which they were acknowledged."""
        for entry in sorted(entries, key=lambda one: one.ended):
            for effect in entry.effects:
                self.to_target(effect) if entry.side == "legacy" else self.to_legacy(effect)
        self.target.commit()

    def close(self) -> None:
        self.legacy.close()
        self.target.close()

    def member(self, who: str) -> int:
        return int(who[7:]) if who.startswith("member:") else self.member_of[who]

    def record(self, who: str, system: str) -> str:
        known = [record for record, member in self.member_of.items() if member == self.member(who)]
        return keys_of(known, system)[0]

    def to_target(self, effect: Effect) -> None:
        run = self.target.query
        match effect:
            case SaleMade():
                run(
                    "INSERT INTO sale (sale_no, channel, store_code, member_id, sold_at, status, total, discount, freight, paid) "
                    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 0)",
                    (effect.number, effect.channel, effect.store, self.member(effect.who) if effect.who else None,
                     Moment(effect.at).utc, effect.status, effect.total, effect.discount, effect.freight),
                )  # fmt: skip
                for line in effect.lines:
                    run("INSERT INTO sale_line (sale_no, line_no, product_id, quantity, unit_price, amount) "
                        "VALUES (%s, %s, %s, %s, %s, %s)", (effect.number, *line))  # fmt: skip
            case PointsMoved():
                run(
                    "INSERT INTO points_ledger (member_id, delta, reason, ref_no, occurred_at, origin, origin_id) "
                    "VALUES (%s, %s, 'X', %s, %s, 'crm', %s)",
                    (self.member(effect.who), effect.delta, effect.reference, Moment(effect.at).utc, effect.reference),
                )
                run("UPDATE member SET points = points + %s WHERE member_id = %s", (effect.delta, self.member(effect.who)))
            case SignedIn():
                key = next(self.new_members)
                run("INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (%s, %s, %s, %s)",
                    (key, self.member(effect.who), Moment(effect.at).utc, effect.channel))  # fmt: skip
            case Enrolled():
                system, _, key_text = effect.who.partition(":")
                self.member_of[effect.who] = int(key_text) if system == "crm" else next(self.new_members)
                run(
                    "INSERT INTO member (member_id, name, phone, tier, points, balance, registered_at, origin) "
                    "VALUES (%s, %s, %s, 'BRONZE', 0, 0, UTC_TIMESTAMP(6), %s)",
                    (self.member_of[effect.who], effect.name, effect.phone, system),
                )
                self.link(system, key_text, self.member_of[effect.who])
            case _:
                self.to_both(effect)

    def to_legacy(self, effect: Effect) -> None:
        run = self.legacy.query
        match effect:
            case SaleMade(channel="pos"):
                run(
                    "INSERT INTO pos.dbo.Sale (SaleNo, StoreCode, CardNo, TillNo, SoldAt, Total, Discount) "
                    "VALUES (%s, %s, %s, 1, %s, %s, %s)",
                    (effect.number, effect.store, self.record(effect.who, "pos") if effect.who else None,
                     Moment(effect.at).local, effect.total, effect.discount),
                )  # fmt: skip
                for line in effect.lines:
                    run("INSERT INTO pos.dbo.SaleLine (SaleNo, [LineNo], ProductId, Quantity, UnitPrice, Amount) "
                        "VALUES (%s, %d, %d, %s, %s, %s)", (effect.number, *line))  # fmt: skip
            case SaleMade(who=str(who)):
                moment, number = Moment(effect.at), int(effect.number[1:])
                run(
                    "INSERT INTO ecom.dbo.[Order] (OrderNo, AccountId, PlacedAt, Status, Total, Freight, StoreCode, UpdatedAt) "
                    "VALUES (%d, %s, CAST(%s AS datetimeoffset(7)), %s, %s, %s, %s, %s)",
                    (number, self.record(who, "ecom"), moment.zoned, effect.status, effect.total, effect.freight, effect.store,
                     moment.local),
                )  # fmt: skip
                for line in effect.lines:
                    run("INSERT INTO ecom.dbo.OrderLine (OrderNo, [LineNo], ProductId, Quantity, UnitPrice, Amount) "
                        "VALUES (%d, %d, %d, %d, %s, %s)", (number, *line[:2], int(line[2]), *line[3:]))  # fmt: skip
            case PointsMoved():
                member = int(self.record(effect.who, "crm"))
                run("INSERT INTO crm.dbo.PointsLedger (MemberId, Delta, Reason, RefNo, CreatedAt) VALUES (%d, %d, 'X', %s, %s)",
                    (member, effect.delta, effect.reference, Moment(effect.at).local))  # fmt: skip
                run("UPDATE crm.dbo.Member SET Points = Points + %d WHERE MemberId = %d", (effect.delta, member))
            case SignedIn():
                day, clock = Moment(effect.at).local.removesuffix(".000").split("T")
                run("INSERT INTO crm.dbo.SignIn (MemberId, SignDate, SignTime, Channel) VALUES (%d, %s, %s, %s)",
                    (int(self.record(effect.who, "crm")), day, clock, effect.channel))  # fmt: skip
            case Enrolled():
                run("INSERT INTO crm.dbo.Member (Name, Phone) VALUES (%s, %s)", (effect.name, effect.phone))
                key = int(run("SELECT CAST(SCOPE_IDENTITY() AS int)")[0][0])
                self.member_of[f"crm:{key}"] = self.member(effect.who)
                self.link("crm", str(key), self.member(effect.who))
            case _:
                self.to_both(effect)

    def to_both(self, effect: Effect) -> None:
        """Values that either side may change: the last one acknowledged stays."""
        match effect:
            case StatusSet():
                self.target.query("UPDATE sale SET status = %s WHERE sale_no = %s", (effect.status, effect.number))
                self.legacy.query("UPDATE ecom.dbo.[Order] SET Status = %s WHERE OrderNo = %d",
                                  (effect.status, int(effect.number[1:])))  # fmt: skip
            case ConsentSet():
                values = (effect.granted, effect.consent)
                self.target.query("UPDATE consent SET granted = %s WHERE consent_id = %s", values)
                self.legacy.query("UPDATE crm.dbo.Consent SET Granted = %d WHERE ConsentId = %d", values)
            case ProfileSet():
                member = self.member(effect.who)
                self.target.query(f"UPDATE member SET {effect.field} = %s WHERE member_id = %s", (effect.value, member))
                for record in [record for record, owner in self.member_of.items() if owner == member]:
                    system, _, key = record.partition(":")
                    table, key_column = RECORD_TABLES[system]
                    if column := FIELD_COLUMNS[system].get(effect.field):
                        self.legacy.query(f"UPDATE {table} SET {column} = %s WHERE {key_column} = %s", (effect.value, key))

    def link(self, system: str, key: str, member: int) -> None:
        self.target.query(
            "INSERT INTO member_source (source, source_id, member_id, valid_from, linked_by) "
            "VALUES (%s, %s, %s, UTC_TIMESTAMP(6), 'x')",
            (system, key, member),
        )

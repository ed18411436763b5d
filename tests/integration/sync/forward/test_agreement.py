"""Changes of every kind in all three databases, followed while they happen: afterwards reconcile finds no difference."""

from __future__ import annotations

import random

from etl.progress import Silent
from etl.reconcile.run import ReconcileRequest, run_reconcile
from tests.integration.sync.forward.support import DATABASES, Sides

STEPS = 25


def test_after_a_storm_of_changes_both_sides_agree(sides: Sides) -> None:
    """What other tests left in conflict differs before, and may differ after; nothing else does."""
    before = differing(sides)
    chance = random.Random(5)
    for step in range(STEPS):
        database, statement = some_change(chance, step)
        sides.legacy(database, statement)
        if chance.random() < 0.2:
            sides.run(chance.choice(DATABASES))
    sides.run(*DATABASES)
    assert differing(sides) <= before


def differing(sides: Sides) -> set[tuple[str, str]]:
    """Table and key of every row that differs."""
    found = run_reconcile(sides.settings, ReconcileRequest(()), Silent())
    return {(table.table, difference.key) for table in found.tables for difference in table.differences}


def some_change(chance: random.Random, step: int) -> tuple[str, str]:
    """A statement and its database."""
    member, phone = chance.randrange(1, 200), f"139{chance.randrange(10**8):08}"
    amount = chance.randrange(1, 500)
    return chance.choice(
        [
            ("crm", f"UPDATE dbo.Member SET Points = Points + {amount}, Phone = '{phone}' WHERE MemberId = {member}"),
            ("crm", f"UPDATE dbo.Member SET Name = N'客{step}', UpdatedAt = getdate() WHERE MemberId = {member}"),
            (
                "crm",
                "INSERT INTO dbo.Member (Name, Phone, CreatedAt, UpdatedAt) "
                f"VALUES (N'新{step}', '{phone}', '2024-01-02', '2024-01-02')",
            ),
            (
                "crm",
                "INSERT INTO dbo.PointsLedger (MemberId, Delta, Reason, CreatedAt) "
                f"SELECT MemberId, {amount}, 'STORM', '2024-05-01' FROM dbo.Member "
                f"WHERE MemberId BETWEEN {member} AND {member + 9}",
            ),
            ("crm", f"DELETE FROM dbo.SignIn WHERE MemberId = {member}"),
            ("crm", f"UPDATE dbo.Consent SET Granted = 1 - Granted WHERE MemberId = {member}"),
            (
                "pos",
                "INSERT INTO dbo.PosMember (CardNo, Name, Phone, JoinedOn, UpdatedAt) "
                f"VALUES ('STORM-{step}', 's', '{phone}', '2024-01-02', '2024-01-02')",
            ),
            (
                "pos",
                "INSERT INTO dbo.Sale (SaleNo, StoreCode, CardNo, TillNo, SoldAt, Total, Discount, PayMethod) "
                f"SELECT TOP (1) 'STORM-{step}', StoreCode, 'STORM-{max(0, step - 3)}', 1, '2024-05-01', {amount}, 0, 'CASH' "
                "FROM dbo.Store",
            ),
            ("pos", f"UPDATE dbo.Sale SET Discount = Discount + 1, TillNo = {step} WHERE TillNo = {chance.randrange(1, 4)}"),
            ("pos", f"UPDATE dbo.Product SET Price = Price + 1 WHERE ProductId = {amount}"),
            ("ecom", f"UPDATE dbo.[Order] SET Status = 'S{step}' WHERE Total < {amount}"),
            ("ecom", f"UPDATE dbo.Account SET Phone = '{phone}' WHERE BirthDate > '200{step % 10}-01-01'"),
        ]
    )

"""Numbers that never meet, routes that outlive a bad file, logs that end in the middle of a line, hot members that are hot."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from etl.errors import ConfigurationError
from fixtures.storefront.effects import PointsMoved
from fixtures.storefront.intents import DEFAULT_MIX, Customers
from fixtures.storefront.journal import Journal, read_journals
from fixtures.storefront.moments import Moment, from_local, from_utc, now, on_grid
from fixtures.storefront.numbering import Numbering, is_of_run
from fixtures.storefront.routes import Routes, write_routes
from fixtures.storefront.world import Balances, Shopper, World, read_starts, write_start

RUN = 17_953_860_682


def test_numbers_fit_their_columns_and_are_unique_across_workers_and_runs() -> None:
    sales, orders, phones = Counter[str](), Counter[int](), Counter[str]()
    workers = [Numbering(run, worker, 1) for run in (RUN, RUN + 1) for worker in (1, 12, 99)]
    for numbers in workers:
        for _ in range(200):
            sales[numbers.sale_number("S0001234")] += 1
            orders[numbers.order_number()] += 1
        if numbers.run == RUN:
            phones.update(numbers.phone() for _ in range(200))
    assert all(count == 1 for counts in (sales, orders, phones) for count in counts.values())
    assert max(map(len, sales)) <= 24
    assert max(orders) < 2**63
    assert {is_of_run(number, RUN) for number in list(sales)[:600]} == {True}
    assert {is_of_run(number, RUN) for number in list(sales)[600:]} == {False}


def test_moments_are_what_both_sides_can_hold() -> None:
    moment = Moment(on_grid(1_795_386_150_128_999))
    assert moment.utc.endswith(".127000")
    assert from_utc(datetime.fromisoformat(moment.utc)) == moment.micros
    assert from_local(datetime.fromisoformat(moment.local)) == moment.micros
    assert moment.second.utc.endswith(".000000")
    assert now().micros % 10_000 in (0, 3_000, 7_000)


def test_a_bad_file_leaves_the_last_good_routes_in_force(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    with pytest.raises(ConfigurationError):
        Routes(path)
    write_routes(path, {"S1": "legacy", "S2": "tidb"})
    routes = Routes(path)
    for text in ('{"S1": "ti', '{"S1": "moon"}', "[]"):
        path.write_text(text)
        assert (routes.side_of("S1"), routes.side_of("S2"), routes.side_of("S3")) == ("legacy", "tidb", "closed")
    path.unlink()
    assert routes.stores_of("tidb") == ("S2",)
    write_routes(path, {"S1": "tidb", "S2": "closed"})
    assert (routes.stores_of("tidb"), routes.stores_of("legacy")) == (("S1",), ())


def test_what_was_not_written_to_its_end_is_no_entry(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "legacy-01", fsync=True)
    for number in range(3):
        journal.write("legacy", "S1", "redeem", "done", 1.0, [PointsMoved(f"R{number}", "crm:1", -5, 0)])
    journal.close()
    text = journal.path.read_text("utf-8")
    journal.path.write_text(text[:-10], "utf-8")
    assert [entry.effects[0] for entry in read_journals((tmp_path,))] == [PointsMoved(f"R{n}", "crm:1", -5, 0) for n in range(2)]
    assert journal.path.stat().st_mode & 0o077 == 0


def test_balances_are_those_before_the_first_run(tmp_path: Path) -> None:
    for run, balances in ((RUN, Balances({1: 10}, {1: 11})), (RUN + 5, Balances({1: 20, 2: 5}, {1: 21, 2: 5}))):
        write_start(tmp_path / str(run), run, balances)
    runs, start = read_starts((tmp_path / str(RUN + 5), tmp_path / str(RUN)))
    assert runs == (RUN, RUN + 5)
    assert start == Balances({1: 10}, {1: 11})


@pytest.fixture
def world() -> World:
    shoppers = tuple(Shopper(member, crm=(member,)) for member in range(1, 1001))
    return World(shoppers, ((1, Decimal("2.50")),), (1, 2)).with_hot(10, 0.5)


def test_hot_members_get_their_share_and_the_first_the_most(world: World) -> None:
    chance = random.Random(1)
    drawn = Counter(world.draw(chance).member for _ in range(4_000))
    hot = sum(drawn[member] for member in range(1, 11))
    assert 0.45 < hot / 4_000 < 0.57
    assert drawn.most_common(1)[0][0] == 1
    assert 1.5 < drawn[1] / drawn[2] < 2.7  # Zipf: the second half as often as the first


def test_the_same_seed_draws_the_same_actions(world: World) -> None:
    def drawn() -> list[object]:
        customers = Customers(world, Numbering(RUN, 1, 3), random.Random(3), side_knows_members=True)
        return [customers.draw(action, "S1") for action in DEFAULT_MIX for _ in range(20)]

    assert drawn() == drawn()


def test_known_records_only_leaves_out_what_would_need_a_new_record(world: World) -> None:
    def kinds(*, known_only: bool) -> set[str]:
        customers = Customers(world, Numbering(RUN, 1, 3), random.Random(3), True, known_only)
        return {action for action in DEFAULT_MIX if customers.draw(action, "S1") is not None}

    assert "order" in kinds(known_only=False)
    assert "order" not in kinds(known_only=True)  # nobody here has an account

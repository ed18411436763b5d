"""What became of a batch once it is committed: entries for the crosswalk, and what the caller is told of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from etl.sync.model import KEY, DeadLetter
from etl.sync.reverse.born import Link
from etl.sync.reverse.compose import Batch, Composition
from etl.sync.reverse.decide import Decision
from etl.sync.reverse.inverse import PartInverse
from etl.sync.reverse.locate import Located, parts_of
from etl.sync.reverse.model import Reversed
from etl.sync.reverse.places import Place
from etl.sync.reverse.write_back import WriteResult

PENDING: Final = "pending"
"""Why a row is left: somebody else changed it on the legacy side, and forward has that still to bring."""


def links_of(batch: Batch, located: Located, places: Sequence[Place], done: WriteResult) -> list[Link]:
    """Crosswalk entries of records that were made, now or before a crash."""
    if batch.members is None:
        return []
    since = {system.name: system.since for place in places if (system := place.part.part.defines_member) is not None}
    made = [(system, one, at) for system, one, at in located.links if system in since]
    for (number, at), key in done.inserted.items():
        system = places[number].part.part.defines_member
        assert system is not None, "tables of members have parts that define them"
        made.append((system.name, key, at))
    return [(system, one, int(batch.members[at]), batch.rows[since[system]][at]) for system, one, at in made]


def tell(
    inverses: Sequence[PartInverse],
    batch: Batch,
    located: Located,
    decisions: Mapping[int, Decision],
    made: Composition,
    done: WriteResult,
    result: Reversed,
) -> None:
    """What became of each row, now that it is committed."""
    keys = batch.rows[KEY]
    fresh = {at for _, at in done.inserted}
    result.later.update({keys[at]: why for at, why in located.later.items()})
    result.done |= {keys[at] for at in located.nothing}
    dead = {at: why for at, why in made.dead.items() if at in decisions} | located.dead
    parts = parts_of(batch.table, inverses, batch.rows) if dead else []
    for at, why in dead.items():
        result.dead.append(DeadLetter("reverse", parts[at], keys[at], why.code, why.detail[:400]))
    for at, decision in decisions.items():
        if at in made.dead:
            continue
        key = keys[at]
        result.settled[key] = tuple(
            name for name in dict.fromkeys([*decision.send, *decision.agreed]) if name in batch.table.kept
        )
        if decision.echoes:
            result.echoes[key] = dict(decision.echoes)
        if decision.unplaced:
            result.unplaced[key] = dict(decision.unplaced)
        if decision.returned:
            result.returned[key] = dict(decision.returned)
        if decision.held:
            result.held[key] = decision.held
        else:
            result.done.add(key)
        sent = bool(decision.send or decision.gains)
        result.inserted += at in fresh
        result.written += sent and at not in fresh
        result.unchanged += not sent
        result.born += decision.new and batch.members is not None

"""A switch on a disk that fills up while its store is closed. Run as a program, in a file system of its own: see test_full_disk.

It prints what became of it, as JSON.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from etl.errors import OpsError, TargetError
from migrations.release import reserve as kept
from migrations.release.client.routes import read_map
from migrations.release.event_log import EventLog, open_event_log
from migrations.release.events import Paused, Planned, Started, SwitchBegun, WaveBegun
from migrations.release.model import ReleaseState, Route, Switch
from migrations.release.publish.publisher import Places, publish
from migrations.release.reserve import Reserve
from migrations.release.switch import Evidence, Ports, carry_out

SECONDS = 60
"""For so long a controller renews its lease on what it gave up."""


def fill(folder: Path) -> None:
    """To the last byte."""
    with (folder / "filler").open("ab", buffering=0) as file:
        for size in (65_536, 4_096, 512, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


def ports_of(folder: Path, reserve: Reserve | None) -> Ports:
    """Real maps on the small disk. It is full when the store has to be drained, and the drain fails."""

    def out(state: ReleaseState) -> Evidence:
        publish(state, Places(folder / "routes.json"))
        return {}

    def drain(switch: Switch) -> Evidence:
        fill(folder)
        raise TargetError("sync wrote its log to the same disk", "x")

    def nothing(asked: object) -> Evidence:
        return {}

    kinds: dict[str, Any] = dict.fromkeys(Ports.__dataclass_fields__, nothing)
    written = out if reserve is None else lambda state: reserve.publish(out, state)
    return Ports(**{**kinds, "publish": written, "drain": drain})


def play(folder: Path, state: Path, reserve: Reserve | None) -> dict[str, object]:
    """What the log and the map say afterwards."""
    with open_event_log(state) as log:
        if reserve is not None:
            reserve.keep()
            log.make_room = reserve.let_go
        begin(log)
        try:
            carry_out(log, ports_of(folder, reserve))
        except OpsError as error:
            ended = type(error).__name__
        found = read_map((folder / "routes.json").read_bytes())
        result: dict[str, object] = {
            "ended": ended, "under_way": log.refresh().switch is not None, "wanted": log.state.sequence,
            "sequence": found.sequence, "route": found.stores["S1"].route,
        }  # fmt: skip
        return result | (lives_on(folder, log, reserve) if reserve is not None else {})


def begin(log: EventLog) -> None:
    """A store that is about to move."""
    log.take_lease("test")
    for event in (Planned("r", (("S1",),), {"S1": Route.LEGACY}), Started(), WaveBegun(0), SwitchBegun(("S1",), Route.TIDB)):
        log.append(event)


def lives_on(folder: Path, log: EventLog, reserve: Reserve) -> dict[str, object]:
    """The rest of the night: the lease, the pause, and room that somebody makes."""
    log.append(Paused("the disk"))
    for _ in range(SECONDS):
        log.renew_lease()
        reserve.tend()
    places = [kept.place_in(one) for one in kept.one_for_each_disk(reserve.folders)]
    gone = not any(place.exists() for place in places)
    (folder / "filler").unlink()
    reserve.tend()
    made = [place.stat().st_size == kept.SIZE for place in places]
    return {"gone": gone, "made_anew": made, "phase": log.state.phase}


def main() -> None:
    """on_a_full_disk.py FOLDER with|without STATE"""
    folder, told = Path(sys.argv[1]), list[str]()
    state = Path(sys.argv[3])
    reserve = Reserve((state, folder), lambda *words: told.append(words[0]), lambda key: told.append("resolved"), 2 * kept.SIZE)
    sys.stdout.write(json.dumps(play(folder, state, reserve if sys.argv[2] == "with" else None) | {"told": told}))


if __name__ == "__main__":
    main()

"""The client that docs/routes.md offers to other languages, taken from the page and run: a page that lies costs sales."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from migrations.release.acks import AckWatch, prepare_acks, read_acks, require_instances
from migrations.release.publish.atomic import replace_file
from migrations.release.publish.routes_map import map_of, text_of
from tests.unit.release.publish.states import fenced, moved, planned

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")

PAGE = Path(__file__).parents[4] / "docs" / "routes.md"

DRIVER = """
import { createInterface } from "node:readline";
import { Routes } from "./client.mjs";
const routes = new Routes(process.argv[2], process.argv[3], "shop-1", Number(process.argv[4]));
let write = null;
const commands = {
  begin: (store) => { write = routes.begin(store); return write && write.side; },
  still: () => routes.still(write), end: () => routes.end(write) ?? true, poll: () => routes.poll() ?? routes.trouble,
  sequence: () => routes.map.sequence,
};
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = line.split(" ");
  console.log(JSON.stringify(commands[name](...given)));
}
"""


class Shop:
    """A Node process with the client."""

    def __init__(self, folder: Path, lease_s: float = 30.0) -> None:
        found = re.search(r"```js\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        assert found, "docs/routes.md has no client in another language any more"
        prepare_acks(folder / "acks")
        (folder / "client.mjs").write_text(found[1], "utf-8")
        (folder / "driver.mjs").write_text(DRIVER, "utf-8")
        command = ["node", str(folder / "driver.mjs"), str(folder / "routes.json"), str(folder / "acks"), str(lease_s)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command: str) -> Any:
        """What it answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    replace_file(tmp_path / "routes.json", text_of(map_of(planned("S001", "店2"))))
    shop = Shop(tmp_path)
    yield shop
    shop.close()


def test_it_moves_with_the_store_and_holds_its_acknowledgement_back(shop: Shop, tmp_path: Path) -> None:
    path, watch, state = tmp_path / "routes.json", AckWatch(tmp_path / "acks"), planned("S001", "店2")
    assert shop.ask("begin S001") == "legacy"
    assert shop.ask("still") is True
    require_instances(read_acks(tmp_path / "acks"), 1, datetime.now(UTC))
    replace_file(path, text_of(map_of(fenced(state, "S001"))))
    assert shop.ask("still") is False
    assert watch.look(1).why() == "waiting for shop-1 (at map 0, 1 writes in flight)"
    shop.ask("end")
    assert watch.look(1).done
    assert shop.ask("begin S001") is None
    assert shop.ask("begin 店2") == "legacy", "the digest is of UTF-8"
    shop.ask("end")
    replace_file(path, text_of(map_of(moved(state, "S001"))))
    shop.ask("poll")
    assert shop.ask("begin S001") == "tidb"


def test_it_keeps_the_last_good_map(shop: Shop, tmp_path: Path) -> None:
    path, state = tmp_path / "routes.json", planned("S001", "店2")
    replace_file(path, text_of(map_of(moved(state, "S001"))))
    assert shop.ask("poll") == ""
    whole = path.read_bytes()
    for damage in (whole[:-30], b"", whole.replace(b'"tidb"', b'"legacy"'), text_of(map_of(state))):
        path.write_bytes(damage)
        assert shop.ask("poll") != ""
        assert (shop.ask("begin S001"), shop.ask("sequence")) == ("tidb", 2)
        shop.ask("end")
    path.unlink()
    assert "ENOENT" in shop.ask("poll")
    assert shop.ask("begin S001") == "tidb"


def test_it_stops_when_its_lease_lapses(tmp_path: Path) -> None:
    """It went unheard for its lease: the controller has moved on, and so may the store have."""
    replace_file(tmp_path / "routes.json", text_of(map_of(planned("S001", "店2"))))
    shop = Shop(tmp_path, lease_s=0.2)
    shop.ask("sequence")
    time.sleep(0.3)
    assert shop.ask("begin S001") is None
    (tmp_path / "acks").rename(tmp_path / "gone")
    (tmp_path / "acks").write_text("a file where the folder was")
    assert "ENOTDIR" in shop.ask("poll") or "not a directory" in shop.ask("poll")
    assert shop.ask("begin S001") is None
    shop.close()

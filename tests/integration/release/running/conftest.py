"""A retailer on both sides whose sync runs in a thread, with a plan of a release beside its configuration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from migrations.release.client.routes import Routes
from tests.integration.sync.running.conftest import prepared, shop
from tests.integration.sync.running.support import Shop

__all__ = ["prepared", "shop"]

MINUTE = timedelta(minutes=1)


@dataclass
class Chain:
    """`config`: membershift.toml. `stores`: the two of the first wave. `till`: an application that keeps to the map."""

    shop: Shop
    config: Path
    stores: tuple[str, str]

    @property
    def folder(self) -> Path:
        """Where the map and the acknowledgements are."""
        return self.config.parent

    def till(self) -> Routes:
        """An application instance that looks at the map ten times a second."""
        return Routes(self.folder / "routes.json", self.folder / "acks", "till", poll_s=0.1)

    def write_figures(self, errors: int) -> None:
        """Requests of the last minutes, as a JSON file for `[metrics.file]`."""
        last = datetime.now(UTC).replace(second=0, microsecond=0)
        rows = [
            {"minute": (last - number * MINUTE).isoformat(), "store": store, "requests": 200, "errors": errors}
            for number in range(1, 8)
            for store in self.stores
        ]
        (self.folder / "minutes.json").write_text(json.dumps(rows))


@pytest.fixture
def chain(shop: Shop, tmp_path: Path) -> Chain:
    """A plan whose first wave is promoted by hand, and whose gates are those that figures and sync can answer."""
    settings = shop.settings
    codes = [str(row[0]) for row in shop.rows("SELECT store_code FROM store ORDER BY store_code")]
    config = tmp_path / "membershift.toml"
    config.write_text(
        f"""
[source]
url = "{settings.source.url.get_secret_value()}"
databases = ["crm", "pos", "ecom"]
retries = 1
[target]
url = "{settings.target.url.get_secret_value()}"
schema = "{settings.target.schema_name}"
state_schema = "{settings.target.state_schema}"
[sync]
match_newcomers = false
poll_s = 0.15
check_share = 0
"""
    )
    (tmp_path / "release.toml").write_text(
        f"""
name = "small"
[[wave]]
name = "pilot"
stores = ["{codes[0]}", "{codes[1]}"]
bake_s = 0
by_itself = false
[[wave]]
name = "rest"
share = 1.0
[metrics]
source = "file"
[metrics.file]
path = "minutes.json"
[gates]
tests = {{ enabled = false }}
training = {{ enabled = false }}
reconcile = {{ enabled = false }}
loadtest = {{ enabled = false }}
[switch]
snapshot = false
"""
    )
    return Chain(shop, config, (codes[0], codes[1]))

"""An application that notes its own changes: what its outbox names reaches the legacy side, exactly, deletes too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from etl.errors import RefusedError
from etl.mapping.load_mapping import find_folder
from etl.progress import Silent
from etl.settings import MappingSettings, Settings
from etl.sync.capture.outbox import CREATE_OUTBOX, require_outbox
from etl.sync.drain import DrainRequest, drain_store
from etl.sync.start import start_sync
from tests.integration.sync.running.support import Shop, until


@pytest.fixture
def settings(shop: Shop, tmp_path: Path) -> Settings:
    """The retailer's mapping, with an outbox for consents and sign-ins; no sweep comes to help."""
    folder = tmp_path / "mapping"
    copytree(find_folder("retailer", None), folder)
    for name in ("consent.toml", "sign_in.toml"):
        text = (folder / name).read_text("utf-8").replace("[sync]\n", '[sync]\ncapture = "outbox"\n')
        (folder / name).write_text(text, "utf-8")
    return shop.with_sync(sweep_s=86_400).model_copy(update={"mapping": MappingSettings(path=str(folder))})


@pytest.fixture
def outbox(shop: Shop, settings: Settings) -> Iterator[None]:
    """The table, made by hand as the refusal says."""
    with pytest.raises(RefusedError, match="has no table outbox") as refused:
        start_sync(settings, execute=True, by_whom="test", progress=Silent())
    assert "CREATE TABLE" in refused.value.remedy
    numbered = "AUTO_RANDOM" if shop.target.is_tidb else "AUTO_INCREMENT"
    shop.target.execute(CREATE_OUTBOX.format(schema=settings.target.schema_name, outbox="outbox", numbered=numbered))
    require_outbox(shop.target, settings.target.schema_name, "outbox")
    yield
    shop.target.execute("DROP TABLE outbox")


def note(shop: Shop, table: str, key: object, op: str) -> None:
    """An entry, in the transaction of the change."""
    shop.target.execute("INSERT INTO outbox (table_name, row_key, op) VALUES (%s, %s, %s)", (table, str(key), op))


def waiting(shop: Shop) -> int:
    """Entries that are not done with."""
    return int(shop.rows("SELECT COUNT(*) FROM outbox")[0][0])


@pytest.mark.usefixtures("outbox")
def test_changes_inserts_and_deletes_arrive_and_their_entries_go(shop: Shop, settings: Settings) -> None:
    """Among them what times cannot show: a change that set them back, and a delete, also where no old versions are kept."""
    ((consent, granted),) = shop.rows("SELECT consent_id, granted FROM consent ORDER BY consent_id LIMIT 1")
    ((gone, member),) = shop.rows("SELECT sign_in_id, member_id FROM sign_in ORDER BY sign_in_id LIMIT 1")
    new = 2**47 + next(shop.numbers)
    with shop.running(settings):
        with shop.target.transaction():
            shop.target.execute(
                "UPDATE consent SET granted = 1 - granted, updated_at = updated_at WHERE consent_id = %s", (consent,)
            )
            note(shop, "consent", consent, "U")
        with shop.target.transaction():
            shop.target.execute(
                "INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (%s, %s, '2024-06-01 01:02:03', 'APP')",
                (new, member),
            )
            note(shop, "sign_in", new, "I")
            shop.target.execute("DELETE FROM sign_in WHERE sign_in_id = %s", (gone,))
            note(shop, "sign_in", gone, "D")
            note(shop, "sign_in", "nonsense", "U")
        until(lambda: waiting(shop) == 0)
        done = drain_store(settings, DrainRequest(("S001",), "source", 30.0), Silent())
        assert "sign_in" not in done.left
    (now,) = shop.legacy("crm", f"SELECT Granted FROM dbo.Consent WHERE ConsentId = {consent}")
    assert int(now[0]) == 1 - int(granted)
    assert shop.legacy("crm", f"SELECT COUNT(*) FROM dbo.SignIn WHERE SignInId = {gone}") == [(0,)]
    state = settings.target.state_schema
    rows = shop.legacy("crm", f"SELECT legacy_key FROM dbo.membershift_row WHERE target_key = '{new}'")
    assert len(rows) == 1
    reasons = shop.rows(f"SELECT reason FROM {state}.sync_dead_letter WHERE part = 'sign_in' AND settled_at IS NULL")
    assert [str(reason) for (reason,) in reasons] == ["no_key"]
    shop.target.execute(f"DELETE FROM {state}.sync_dead_letter")


@pytest.mark.usefixtures("outbox")
def test_a_change_without_an_entry_is_not_sent_before_the_sweep(shop: Shop, settings: Settings) -> None:
    """The outbox alone tells: nothing is scanned. The sweep is the net."""
    ((line,),) = shop.rows("SELECT MAX(sign_in_id) FROM sign_in WHERE sign_in_id < 140737488355328")
    with shop.running(settings) as stats:
        rounds = stats.views()[-1].rounds
        until(lambda: stats.views()[-1].rounds > rounds + 3)  # the sweep at the start is over
        shop.target.execute("UPDATE sign_in SET channel = 'OTHER' WHERE sign_in_id = %s", (line,))
        rounds = stats.views()[-1].rounds
        until(lambda: stats.views()[-1].rounds > rounds + 5)
        assert shop.legacy("crm", f"SELECT Channel FROM dbo.SignIn WHERE SignInId = {line}") != [("OTHER",)]
        note(shop, "sign_in", line, "U")
        until(lambda: waiting(shop) == 0)
        assert shop.legacy("crm", f"SELECT Channel FROM dbo.SignIn WHERE SignInId = {line}") == [("OTHER",)]

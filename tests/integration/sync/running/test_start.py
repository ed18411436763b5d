"""What `sync start` refuses before anything is changed."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from etl.errors import RefusedError
from etl.progress import Silent
from etl.sync.start import start_sync
from tests.integration.sync.running.support import READER, Shop


def test_a_login_that_cannot_write_back_is_refused_with_the_grants(shop: Shop) -> None:
    """What would be lost: every change of the target, in a dead letter each."""
    url = shop.settings.source.url.get_secret_value().replace("sa:", f"{READER}:")
    reader = shop.settings.model_copy(
        update={"source": shop.settings.source.model_copy(update={"url": SecretStr(url)})},
    )
    grant = "USE [crm]; GRANT INSERT, UPDATE, DELETE ON [crm].[dbo].[Member] TO [reader]"
    assert grant in start_sync(reader, execute=False, by_whom="test", progress=Silent()).grants
    with pytest.raises(RefusedError) as refused:
        start_sync(reader, execute=True, by_whom="test", progress=Silent())
    assert grant + ";" in refused.value.remedy
    assert start_sync(shop.settings, execute=False, by_whom="test", progress=Silent()).grants == ()

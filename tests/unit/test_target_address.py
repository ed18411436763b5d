"""[target] url taken apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.errors import ConfigurationError
from etl.settings import TargetSettings
from etl.target.address import read_address


def settings(url: str, **more: object) -> TargetSettings:
    return TargetSettings.model_validate({"url": SecretStr(url), **more})


def test_all_parts() -> None:
    address = read_address(settings("mysql://me:p%40ss%2Fword@db.example.com:4001"))

    assert (address.host, address.port, address.user, address.password) == ("db.example.com", 4001, "me", "p@ss/word")
    assert "p@ss" not in repr(address)


def test_the_port_of_tidb_is_the_default() -> None:
    assert read_address(settings("mysql://me@db.example.com")).port == 4000


@pytest.mark.parametrize(("host", "tls"), [("127.0.0.1", "off"), ("localhost", "off"), ("[::1]", "off"), ("10.0.0.7", "verify")])
def test_tls_is_verified_unless_on_loopback(host: str, tls: str) -> None:
    assert read_address(settings(f"mysql://me:x@{host}:4000")).tls == tls


def test_tls_can_be_asked_for_on_loopback() -> None:
    assert read_address(settings("mysql://me:x@127.0.0.1:4000", tls="verify")).tls == "verify"


def test_localhost_is_not_a_socket() -> None:
    assert read_address(settings("mysql://me:x@localhost:4000")).host == "127.0.0.1"


@pytest.mark.parametrize(
    "url",
    [
        "mssql://me:hush@db:4000",
        "mysql://db:4000",
        "mysql://me:hush@:4000",
        "mysql://me:hush@db:port",
        "mysql://me:hush@db:4000/membership",
        "mysql://me:hush@db:4000?charset=latin1",
        "mysql://me:hu#sh@db:4000",
        "db:4000",
    ],
)
def test_what_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_address(settings(url))
    assert "hush" not in caught.value.message + caught.value.remedy


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(ConfigurationError):
            read_address(settings("mysql://me:x@db.example.com", tls_ca=path))

"""Where the source is and how the connection to it is protected."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from etl.errors import ConfigurationError
from etl.settings import SourceSettings

DEFAULT_PORT: Final = 1433
TlsMode = Literal["verify", "trust", "off"]


@dataclass(frozen=True)
class Address:
    """A server and a login. `str()` of it is fit for messages: no secret."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: TlsMode
    tls_ca: Path | None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def address_of(settings: SourceSettings) -> Address:
    """Read mssql://user:password@host:port. Raises ConfigurationError, without quoting the URL.

    >>> address = address_of(SourceSettings(url="mssql://sa:p%40ss@db1"))
    >>> str(address), address.user, address.password, address.tls
    ('db1:1433', 'sa', 'p@ss', 'verify')
    >>> address_of(SourceSettings(url="mssql://sa:x@127.0.0.1:14330")).tls
    'off'
    """
    try:
        parts = urlsplit(settings.url.get_secret_value())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme.split("+")[0] != "mssql" or not host or parts.username is None:
        raise ConfigurationError(
            "[source] url is not of the form mssql://user:password@host:1433.",
            "Write it so, with %40 for an @ inside the password, and ${env:NAME} in place of the password itself.",
        )
    return Address(
        host=host,
        port=port or DEFAULT_PORT,
        user=unquote(parts.username),
        password=unquote(parts.password or ""),
        tls=settings.tls or ("off" if is_loopback(host) else "verify"),
        tls_ca=settings.tls_ca,
    )


def is_loopback(host: str) -> bool:
    """Whether traffic to `host` stays on this machine.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("10.0.0.1")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

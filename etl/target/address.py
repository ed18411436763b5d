"""Where the target is and how to speak to it: [target] url and tls, checked."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from etl.errors import ConfigurationError
from etl.settings import TargetSettings

Tls = Literal["verify", "trust", "off"]

DEFAULT_PORT: Final = 4000
SCHEMES: Final = frozenset({"mysql", "tidb", "mariadb"})
EXAMPLE: Final = "Write it as mysql://user:password@host:4000; names of schemas and options have keys of their own in [target]."


@dataclass(frozen=True)
class Address:
    """One server and one account. `ca`: file with the certificates that may vouch for the server, for tls "verify"."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: Tls
    ca: str | None

    @property
    def where(self) -> str:
        """host:port, for messages."""
        return f"{self.host}:{self.port}"


def read_address(settings: TargetSettings) -> Address:
    """Take [target] url apart. Raises ConfigurationError, without the password in it."""
    parts = split(settings.url.get_secret_value())
    host = parts.hostname or ""
    tls = settings.tls or ("off" if is_loopback(host) else "verify")
    return Address(
        # The C client takes "localhost" for a local socket, whatever the port.
        host="127.0.0.1" if host == "localhost" else host,
        port=parts.port or DEFAULT_PORT,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        tls=tls,
        ca=authority(settings) if tls == "verify" else None,
    )


def authority(settings: TargetSettings) -> str | None:
    """The file of certificates to trust: [target] tls_ca, else the system's. Raises ConfigurationError when it is none."""
    if settings.tls_ca is None:
        return ssl.get_default_verify_paths().cafile
    try:
        ssl.create_default_context(cafile=settings.tls_ca)
    except OSError as error:  # also ssl.SSLError
        raise ConfigurationError(
            f"[target] tls_ca: {settings.tls_ca} cannot be read as certificates.", "Name a PEM file with the CA's certificate."
        ) from error
    return str(settings.tls_ca)


def split(url: str) -> SplitResult:
    """The parts of a target URL. Raises ConfigurationError when one is missing or out of place."""
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigurationError("[target] url has no valid port, or an unescaped character in its password.", EXAMPLE) from None
    if parts.scheme.partition("+")[0] not in SCHEMES:
        raise ConfigurationError("[target] url does not begin with mysql://.", EXAMPLE)
    if not parts.hostname or not parts.username or not port_is_number:
        raise ConfigurationError("[target] url names no host or no user.", EXAMPLE)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigurationError("[target] url has something after the port.", EXAMPLE)
    return parts


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine itself.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("tidb.example.com")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

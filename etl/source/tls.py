"""TLS to SQL Server: ask the server, before any login, whether and how it encrypts; tell both drivers whom to trust.

Both drivers report a refused handshake as one vague failure, so the handshake is tried here first, where the reason is known.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from etl.errors import ConfigurationError, SourceError
from etl.source.address import Address
from etl.source.errors import UNREACHABLE, ServerError

_PRELOGIN: Final = 0x12
_HEADER: Final = struct.Struct(">BBHHBB")
_NOT_SUPPORTED: Final = 0x02
# VERSION and ENCRYPTION (wanted: on), as option headers, the end mark, then their values.
_QUESTION: Final = bytes([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF]) + bytes(6) + bytes([1])
_environment: Final = threading.Lock()


def check_reachable(address: Address, timeout_s: float) -> None:
    """Connect, and where TLS is wanted shake hands, without logging in.

    Raises ServerError when nothing answers, SourceError when TLS is refused, ConfigurationError when tls_ca cannot be read.
    """
    try:
        with socket.create_connection((address.host, address.port), timeout=timeout_s) as link:
            if address.tls != "off":
                _shake_hands(link, address)
    except ssl.SSLCertVerificationError as error:
        raise SourceError(
            f"The certificate of the source {address} is not trusted: {error.verify_message}.",
            "Give [source] tls_ca the file of the authority that signed it and use the host name it was made for; "
            'or, if you accept the risk, set tls = "trust".',
        ) from None
    except ssl.SSLError as error:
        raise SourceError(
            f"The source {address} broke off the TLS handshake ({error.reason or 'no reason given'}).",
            "Check that the server allows TLS 1.2 and has a usable certificate.",
        ) from None
    except OSError as error:
        message = UNREACHABLE.message.format(server=address)
        raise ServerError(f"{message} ({_why(error)})", UNREACHABLE.remedy, transient=True) from error


def _shake_hands(link: socket.socket, address: Address) -> None:
    """PRELOGIN, then a TLS handshake whose records travel inside PRELOGIN packets."""
    _send(link, _QUESTION)
    if _offered(_receive(link)) == _NOT_SUPPORTED:
        raise SourceError(
            f"The source {address} does not encrypt connections.",
            'Give the server a certificate; or, on a network you trust, set [source] tls = "off".',
        )
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = _context(address).wrap_bio(incoming, outgoing, server_hostname=address.host)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            if pending := outgoing.read():
                _send(link, pending)
            incoming.write(_receive(link))
        else:
            return


def _context(address: Address) -> ssl.SSLContext:
    """What the drivers will demand as well."""
    try:
        context = ssl.create_default_context(cafile=address.tls_ca)
    except OSError as error:
        raise ConfigurationError(
            f"[source] tls_ca = {address.tls_ca} cannot be read as certificates.", "Give it a PEM file of the authority to trust."
        ) from error
    # TLS inside TDS packets ends at 1.2: 1.3 sends more after the handshake, which both drivers take for something else.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    if address.tls == "trust":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _send(link: socket.socket, payload: bytes) -> None:
    link.sendall(_HEADER.pack(_PRELOGIN, 1, _HEADER.size + len(payload), 0, 1, 0) + payload)


def _receive(link: socket.socket) -> bytes:
    _, _, length, _, _, _ = _HEADER.unpack(_exactly(link, _HEADER.size))
    return _exactly(link, length - _HEADER.size)


def _exactly(link: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size:
        part = link.recv(size - len(got))
        if not part:
            raise ConnectionResetError("the server closed the connection")
        got += part
    return bytes(got)


def _offered(reply: bytes) -> int:
    """The ENCRYPTION byte of a PRELOGIN reply; a server that says nothing does not encrypt.

    >>> _offered(bytes([1, 0, 6, 0, 1, 0xFF, 3]))
    3
    >>> _offered(bytes([0xFF]))
    2
    """
    position = 0
    while position + 5 <= len(reply) and reply[position] != 0xFF:
        option, offset, length = struct.unpack_from(">BHH", reply, position)
        if option == 1 and length == 1 and offset < len(reply):
            return reply[int(offset)]
        position += 5
    return _NOT_SUPPORTED


def _why(error: OSError) -> str:
    """A reason without addresses in it."""
    match error:
        case socket.gaierror():
            return "unknown host name"
        case TimeoutError():
            return "no answer in time"
        case ConnectionRefusedError():
            return "connection refused"
        case _:
            return error.strerror or str(error) or type(error).__name__


@contextmanager
def trusting(address: Address) -> Iterator[None]:
    """While a driver connects, point its TLS library at the authorities to trust; neither driver takes them as an argument.

    FreeTDS (pymssql) checks a certificate only when its configuration file names authorities; OpenSSL (mssql-python) reads
    SSL_CERT_FILE. Both variables belong to the whole process, so only one thread connects at a time.
    """
    if address.tls != "verify":
        yield
        return
    authorities = address.tls_ca or _system_authorities()
    with _environment, tempfile.NamedTemporaryFile("w", suffix=".conf", prefix="freetds-") as conf:
        conf.write(f"[global]\n\tca file = {authorities or 'system'}\n\tcheck certificate hostname = yes\n")
        conf.flush()
        before = {name: os.environ.get(name) for name in ("FREETDSCONF", "SSL_CERT_FILE")}
        os.environ["FREETDSCONF"] = conf.name
        if authorities is not None:
            os.environ["SSL_CERT_FILE"] = str(authorities)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _system_authorities() -> Path | None:
    """The file of authorities this machine trusts, where Python knows it."""
    paths = ssl.get_default_verify_paths()
    for candidate in (paths.cafile, paths.openssl_cafile):
        if candidate and Path(candidate).exists():
            return Path(candidate)
    return None

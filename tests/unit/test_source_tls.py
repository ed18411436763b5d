"""TLS as both drivers and our own check see it: a certificate is verified by default, and a refusal says why.

The other side is a script that shakes hands inside TDS packets as SQL Server does, and then refuses every login, mostly with
18456: who gets that far has accepted the certificate.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from etl.errors import ConfigurationError, SourceError
from etl.settings import SourceSettings
from etl.source.address import address_of
from etl.source.connect import open_source
from etl.source.errors import ServerError
from etl.source.session import open_fast, open_plain
from etl.source.tls import check_reachable

HEADER = struct.Struct(">BBHHBB")
OFFERS_TLS = bytes([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xFF, 15, 0, 7, 208, 0, 0, 1])
PATIENCE_S = 60
FAST = importlib.util.find_spec("mssql_python") is not None


@dataclass(frozen=True)
class Secured:
    """Where the script listens, and the authority that signed its certificate for the name localhost."""

    port: int
    authority: Path
    refusals: list[tuple[int, int]]
    """Number and severity of the next refusals; 18456 of severity 14 when there are none."""

    def settings(self, host: str = "localhost", **more: object) -> SourceSettings:
        url = SecretStr(f"mssql://sa:hush@{host}:{self.port}")
        return SourceSettings(url=url, connect_timeout_s=PATIENCE_S, retries=0, **more)  # type: ignore[arg-type]  # settings by name


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority = make_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    listener = socket.create_server(("127.0.0.1", 0))
    refusals: list[tuple[int, int]] = []
    threading.Thread(target=accept, args=(listener, context, refusals), daemon=True).start()
    yield Secured(listener.getsockname()[1], authority, refusals)
    listener.close()


def test_a_certificate_of_a_trusted_authority_is_accepted_by_both_drivers(secured: Secured) -> None:
    settings = secured.settings(tls="verify", tls_ca=secured.authority)
    address = address_of(settings)
    check_reachable(address, PATIENCE_S)
    with pytest.raises(ServerError, match="refused the login") as caught:
        open_plain(settings, address)
    assert caught.value.number == 18456
    if FAST:
        with pytest.raises(ServerError, match="refused the login"):
            open_fast(settings, address, None, lambda _: caught.value)


@pytest.mark.parametrize(
    ("host", "trusted", "reason"), [("localhost", False, "issuer certificate"), ("127.0.0.1", True, "not valid for")]
)
def test_a_stranger_or_another_name_is_refused_with_the_reason(secured: Secured, host: str, trusted: bool, reason: str) -> None:
    settings = secured.settings(host, tls="verify", tls_ca=secured.authority if trusted else None)
    with pytest.raises(SourceError, match=reason) as caught, open_source(settings):
        pass
    assert "tls_ca" in caught.value.remedy
    with pytest.raises(ServerError) as plain:
        open_plain(settings, address_of(settings))
    assert plain.value.number != 18456  # the login was never sent


def test_trust_encrypts_without_asking_who_it_is(secured: Secured) -> None:
    with pytest.raises(ServerError, match="refused the login"), open_source(secured.settings("127.0.0.1", tls="trust")):
        pass


def test_the_reason_of_an_earlier_refusal_is_not_told_again(secured: Secured) -> None:
    """pymssql keeps the number of the most severe refusal: a wrong password would be told as a server that is starting, and tried
    again for ever."""
    settings = secured.settings("127.0.0.1", tls="trust")
    secured.refusals[:] = [(17142, 16), (18456, 14), (18456, 14), (4060, 11), (4060, 11)]
    seen = []
    while secured.refusals:
        with pytest.raises(ServerError) as caught:
            open_plain(settings, address_of(settings))
        seen.append((caught.value.number, caught.value.transient))
    assert seen == [(17142, True), (18456, False), (4060, False)]  # the last two were asked twice


def test_an_authority_that_cannot_be_read_is_a_mistake_of_the_configuration(secured: Secured, tmp_path: Path) -> None:
    for path in (tmp_path / "none.pem", secured.authority.parent / "server.key"):
        with pytest.raises(ConfigurationError, match="tls_ca"):
            check_reachable(address_of(secured.settings(tls="verify", tls_ca=path)), PATIENCE_S)


def make_certificates(folder: Path) -> Path:
    """An authority, and a certificate by it for the name localhost."""
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    authority = build(authority_name, authority_name, authority_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    server = build(server_name, authority_name, server_key.public_key()).add_extension(
        x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))]),
        critical=False,
    )
    for name, builder in (("authority", authority), ("server", server)):
        certificate = builder.sign(authority_key, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key = server_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(key)
    return folder / "authority.pem"


def build(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))


def accept(listener: socket.socket, context: ssl.SSLContext, refusals: list[tuple[int, int]]) -> None:
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=(link, context, refusals), daemon=True).start()


def answer(link: socket.socket, context: ssl.SSLContext, refusals: list[tuple[int, int]]) -> None:
    """PRELOGIN, the handshake inside packets of its type, then a refusal of whatever comes."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    with link, suppress(OSError):
        receive(link)
        send(link, 4, OFFERS_TLS)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                if pending := outgoing.read():
                    send(link, 0x12, pending)
                incoming.write(receive(link))
        send(link, 0x12, outgoing.read())
        while True:
            try:
                tls.read(4096)
                break
            except ssl.SSLWantReadError:
                part = link.recv(4096)
                if not part:
                    return
                incoming.write(part)
        text = "Login failed.".encode("utf-16-le")
        number, severity = refusals.pop(0) if refusals else (18456, 14)
        token = struct.pack("<iBBH", number, 1, severity, len(text) // 2) + text + b"\0\0" + struct.pack("<i", 1)
        reply = b"\xaa" + struct.pack("<H", len(token)) + token + b"\xfd" + struct.pack("<HHQ", 2, 0, 0)
        tls.write(HEADER.pack(4, 1, HEADER.size + len(reply), 0, 1, 0) + reply)
        link.sendall(outgoing.read())
        link.shutdown(socket.SHUT_WR)
        while link.recv(4096):  # closing with bytes unread would reset the connection, and the reply with it
            pass


def send(link: socket.socket, kind: int, payload: bytes) -> None:
    link.sendall(HEADER.pack(kind, 1, HEADER.size + len(payload), 0, 1, 0) + payload)


def receive(link: socket.socket) -> bytes:
    head = link.recv(HEADER.size, socket.MSG_WAITALL)
    if len(head) < HEADER.size:
        raise ConnectionResetError
    return link.recv(HEADER.unpack(head)[2] - HEADER.size, socket.MSG_WAITALL)

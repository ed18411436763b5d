"""TLS: who is believed, and who is not. Against a MariaDB of its own, for which certificates are made here."""

from __future__ import annotations

import datetime
import ipaddress
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from etl.settings import TargetSettings
from etl.target.connect import connect_bulk, open_target
from etl.target.errors import ServerError
from fixtures import mariadb
from fixtures.processes import LOOPBACK, free_port, kill_process

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class TlsServer:
    port: int
    ca: Path
    other_ca: Path


def certificate(name: str, key: Key, issuer: str, issuer_key: Key, *, address: str | None) -> x509.Certificate:
    """A certificate for `name`, valid for `address`; without one it is a CA's."""
    now = datetime.datetime.now(datetime.UTC)
    alternatives = [x509.IPAddress(ipaddress.ip_address(address))] if address else []
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def write(path: Path, certificate: x509.Certificate, key: Key | None = None) -> Path:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    if key is not None:
        plain = serialization.NoEncryption()
        text = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
        path.with_suffix(".key").write_bytes(text)
    return path


def start(folder: Path, address: str) -> Iterator[TlsServer]:
    """A MariaDB whose certificate names `address`."""
    ca_key, other_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    ca = write(folder / "ca.pem", certificate("ca", ca_key, "ca", ca_key, address=None))
    other = write(folder / "other.pem", certificate("other", other_key, "other", other_key, address=None))
    own = write(folder / "server.pem", certificate("server", key, "ca", ca_key, address=address), key)
    init = folder / "init.sql"
    init.write_text(f"CREATE USER 'u'@'{LOOPBACK}' IDENTIFIED BY 'p';\nGRANT ALL ON *.* TO 'u'@'{LOOPBACK}';\n")
    mariadb.install_mariadb(folder)
    port = free_port()
    options = (f"--ssl-cert={own}", f"--ssl-key={own.with_suffix('.key')}", f"--ssl-ca={ca}")
    mark = mariadb.start_mariadb(folder, port, init, buffer_mib=16, extra=options)
    await_answer(port)
    yield TlsServer(port, ca, other)
    kill_process(mark)


def await_answer(port: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            pymysql.connect(host=LOOPBACK, port=port, user="u", password="p").close()
            return
        except pymysql.err.OperationalError:
            time.sleep(0.1)
    pytest.fail("the server with TLS did not come up")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    yield from start(tmp_path_factory.mktemp("tls"), LOOPBACK)


@pytest.fixture(scope="module")
def impostor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """Its certificate is good, and for another host."""
    yield from start(tmp_path_factory.mktemp("impostor"), "10.1.2.3")


@pytest.fixture(params=["fast", "plain"])
def driver(request: pytest.FixtureRequest) -> str:
    if request.param == "fast":
        pytest.importorskip("MySQLdb", reason='the extra "fast" is not installed')
    return str(request.param)


def settings(server: TlsServer, driver: str, **more: object) -> TargetSettings:
    url = SecretStr(f"mysql://u:p@{LOOPBACK}:{server.port}")
    return TargetSettings.model_validate({"url": url, "driver": driver, **more})


def cipher(target: TargetSettings) -> str:
    """The cipher in use, "" for plain text; the engine must have one too."""
    with open_target(target) as engine, engine.connect() as connection:
        by_engine = connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").fetchone()
    with connect_bulk(target, "") as bulk:
        found = str(bulk.query("SHOW STATUS LIKE 'Ssl_cipher'")[0][1])
    assert by_engine is not None
    assert bool(by_engine[1]) == bool(found)
    return found


def test_plain_text_is_the_default_on_loopback(server: TlsServer, driver: str) -> None:
    assert cipher(settings(server, driver)) == ""


def test_the_right_ca_is_believed(server: TlsServer, driver: str) -> None:
    assert cipher(settings(server, driver, tls="verify", tls_ca=server.ca))


def test_trust_encrypts_without_asking(server: TlsServer, impostor: TlsServer, driver: str) -> None:
    assert cipher(settings(server, driver, tls="trust"))
    assert cipher(settings(impostor, driver, tls="trust"))


@pytest.mark.parametrize("case", ["system CAs", "another CA"])
def test_a_server_nobody_vouches_for_is_refused(server: TlsServer, driver: str, case: str) -> None:
    more = {} if case == "system CAs" else {"tls_ca": server.other_ca}
    with pytest.raises(ServerError) as caught:
        connect_bulk(settings(server, driver, tls="verify", **more), "")
    assert caught.value.number == 2026
    assert not caught.value.transient
    assert "tls_ca" in caught.value.remedy


def test_a_certificate_of_another_host_is_refused(impostor: TlsServer, driver: str) -> None:
    with pytest.raises(ServerError) as caught:
        connect_bulk(settings(impostor, driver, tls="verify", tls_ca=impostor.ca), "")
    assert caught.value.number == 2026

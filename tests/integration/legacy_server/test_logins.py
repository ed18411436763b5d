"""Who may enter, what a restricted login may do, and TLS as both drivers ask for it."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import mssql_python
import pymssql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fixtures.legacy_server.launcher import TlsFiles, start_legacy_server, stop_legacy_server
from tests.conftest import BLIND, READER
from tests.integration.legacy_server.support import error_number, fast, plain, rows, scalar

if TYPE_CHECKING:
    from fixtures.legacy_server.launcher import LegacyServer


def login_error(server: LegacyServer, database: str = "master", **options: str) -> str:
    """What a refused login says. (pymssql keeps number and text of the process's first refusal, so the other driver is asked.)"""
    with pytest.raises(mssql_python.Error) as caught, fast(server, database, **options):  # type: ignore[arg-type]  # names
        pass
    return str(caught.value)


def test_a_wrong_password_is_refused(legacy: LegacyServer) -> None:
    assert "Login failed for user 'sa'" in login_error(legacy, password="wrong")
    assert "Login failed for user 'nobody'" in login_error(legacy, user="nobody")
    with pytest.raises(pymssql.OperationalError, match="18456"), plain(legacy, password="wrong"):
        pass


def test_an_unknown_database_is_told(legacy: LegacyServer) -> None:
    assert 'Cannot open database "nowhere"' in login_error(legacy, "nowhere")
    with pytest.raises(pymssql.OperationalError), plain(legacy, "nowhere"):
        pass


def test_a_reader_may_read_and_not_write(legacy: LegacyServer, home: str) -> None:
    with plain(legacy, home, user=READER) as connection:
        assert scalar(connection, "SELECT COUNT(*) FROM dbo.Item") >= 0
        assert error_number(connection, "INSERT INTO dbo.Item (Code) VALUES ('x')") == 229
        assert error_number(connection, "DROP TABLE dbo.Item") == 262
        asked = "SELECT HAS_PERMS_BY_NAME('dbo.Item', 'OBJECT', 'SELECT'), HAS_PERMS_BY_NAME('dbo.Item', 'OBJECT', 'INSERT')"
        assert rows(connection, asked) == [(1, 0)]
        held = {row[0] for row in rows(connection, "SELECT permission_name FROM sys.fn_my_permissions('dbo.Item', 'OBJECT')")}
        assert "SELECT" in held
        assert "DELETE" not in held


def test_another_database_is_closed_to_a_login_without_it(legacy: LegacyServer, home: str) -> None:
    assert f'Cannot open database "{home}"' in login_error(legacy, home, user=BLIND)
    with plain(legacy, user=BLIND) as connection:
        assert error_number(connection, f"USE {home}") == 916
        assert scalar(connection, f"SELECT HAS_DBACCESS('{home}')") == 0
        assert error_number(connection, "SELECT cpu_count FROM sys.dm_os_sys_info") == 300


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    (folder / "certificate.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return TlsFiles(folder / "certificate.pem", folder / "key.pem")


@pytest.fixture(scope="module")
def with_tls(certificate: TlsFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyServer]:
    folder: Path = tmp_path_factory.mktemp("legacy_tls")
    yield start_legacy_server(folder, password="Long enough 1", tls=certificate, databases=())
    stop_legacy_server(folder)


@pytest.mark.parametrize("encryption", ["off", "request", "require"])
def test_pymssql_encrypts_the_login_or_everything(with_tls: LegacyServer, encryption: str) -> None:
    with plain(with_tls, encryption=encryption) as connection:
        assert scalar(connection, "SELECT REPLICATE(N'中', 20000)") == "中" * 4000  # many packets, and cut as SQL Server cuts it
        assert error_number(connection, "SELECT 1 / 0") == 8134


@pytest.mark.parametrize("encrypt", ["no", "yes"])
def test_mssql_python_encrypts_the_login_or_everything(with_tls: LegacyServer, encrypt: str) -> None:
    with fast(with_tls, encrypt=encrypt) as connection:
        assert scalar(connection, "SELECT ? + 1", (41,)) == 42


def test_without_a_certificate_encryption_is_refused(legacy: LegacyServer) -> None:
    with pytest.raises(mssql_python.OperationalError), fast(legacy, encrypt="yes"):
        pass
    with pytest.raises(pymssql.OperationalError), plain(legacy, encryption="require"):
        pass

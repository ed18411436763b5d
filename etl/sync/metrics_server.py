"""The page of metrics, served while sync runs: to this machine only, unless somebody insists."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from etl.errors import ConfigurationError, UsageError
from etl.sync.metrics import CONTENT_TYPE

PATHS: Final = ("/", "/metrics")
SLOWEST_S: Final = 10.0
"""A client that takes longer to send its request is let go."""


@dataclass(frozen=True)
class MetricsAddress:
    """Where to serve. Port 0: any free one."""

    host: str
    port: int


def parse_address(text: str, *, anywhere: bool = False) -> MetricsAddress:
    """HOST:PORT, or a port of this machine. Raises UsageError; also for a host that others reach, unless `anywhere`.

    >>> parse_address("9187"), parse_address("[::1]:9187")
    (MetricsAddress(host='127.0.0.1', port=9187), MetricsAddress(host='::1', port=9187))
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65_535 or (colon and not text.partition(":")[0]):
        raise UsageError(f"{text!r} is no address to serve metrics at.", "Give host and port, such as 127.0.0.1:9187.")
    if not anywhere and not is_loopback(host):
        raise UsageError(
            f"{host} is not an address of this machine alone: anybody who reaches it could read the metrics.",
            "Serve them at 127.0.0.1:PORT, or add --metrics-anywhere where the network is safe.",
        )
    return MetricsAddress(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name is none, but for localhost: what it leads to may change."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def serve_metrics(address: MetricsAddress, page: Callable[[], str]) -> Iterator[MetricsAddress]:
    """Serve `page()` until the end of the block; gives the address in use. Raises ConfigurationError when it is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = SLOWEST_S
        server_version = "membershift"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.split("?", 1)[0] not in PATHS:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = page().encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a line for each scrape would hide the lines that matter."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is no concern of ours."""

    try:
        server = Server((address.host, address.port), Handler)
    except OSError as error:
        raise ConfigurationError(
            f"Metrics cannot be served at {address.host}:{address.port} ({error.strerror or 'no such address'}).",
            "Choose another port with --metrics, or end what uses this one.",
        ) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.5}, name="metrics", daemon=True)
    thread.start()
    try:
        yield MetricsAddress(address.host, int(server.server_address[1]))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A small HTTP server beside a command that runs: at an address of this machine, ended with the block."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

SLOWEST_S: Final = 10.0
"""A client that takes longer to send its request is let go."""
POLL_S: Final = 0.2


@dataclass(frozen=True)
class Address:
    """Where to serve. Port 0: any free one."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """What to open.

        >>> Address("::1", 9188).url
        'http://[::1]:9188/'
        """
        return f"http://[{self.host}]:{self.port}/" if ":" in self.host else f"http://{self.host}:{self.port}/"


def read_address(text: str) -> Address | None:
    """HOST:PORT, or a port of this machine; None for anything else.

    >>> read_address("9187"), read_address("[::1]:9187"), read_address("host:")
    (Address(host='127.0.0.1', port=9187), Address(host='::1', port=9187), None)
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not port.isascii() or not port.isdigit() or int(port) > 65_535 or (colon and not text.partition(":")[0]):
        return None
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name is none, but for localhost: what it leads to may change.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("a.example")
    (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Handler(BaseHTTPRequestHandler):
    """Answers one request and says nothing of it: the screen is for the command."""

    timeout = SLOWEST_S
    server_version = "membershift"
    sys_version = ""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a line for each request would hide the lines that matter."""


@contextmanager
def serving(address: Address, handler: type[Handler], name: str) -> Iterator[Address]:
    """Serve until the end of the block, in threads called `name`; gives the address in use. Raises OSError when it is taken."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is no concern of ours."""

    server = Server((address.host, address.port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL_S}, name=name, daemon=True)
    thread.start()
    try:
        yield Address(address.host, int(server.server_address[1]))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

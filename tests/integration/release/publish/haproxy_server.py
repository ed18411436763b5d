"""A real HAProxy that answers, to a request that names a store, where its map sends it."""

from __future__ import annotations

import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_S = 20.0

CONFIGURATION = """
global
    stats socket {folder}/run mode 600 level admin
    maxconn 100
defaults
    mode http
    timeout connect 2s
    timeout client 10s
    timeout server 10s
frontend stores
    bind unix@{folder}/web
    http-request return status 200 content-type text/plain lf-string "%[req.hdr(x-store),map({folder}/stores.map,nowhere)]"
"""


@dataclass(frozen=True)
class HAProxy:
    """One that runs. `socket` is its runtime socket, `map` the file that its configuration names."""

    folder: Path

    @property
    def socket(self) -> str:
        return str(self.folder / "run")

    @property
    def map(self) -> Path:
        return self.folder / "stores.map"

    def where(self, store: str) -> str:
        """Where it sends a request of a store, as a client of it sees that."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10.0)
            connection.connect(str(self.folder / "web"))
            connection.sendall(f"GET / HTTP/1.1\r\nhost: x\r\nx-store: {store}\r\nconnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        return answer.partition(b"\r\n\r\n")[2].decode()


@contextmanager
def run_haproxy(folder: Path) -> Iterator[HAProxy]:
    """Start it on the map that stands in `folder`; it ends with the block."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    (folder / "haproxy.cfg").write_text(CONFIGURATION.format(folder=folder))
    process = subprocess.Popen([program, "-db", "-f", str(folder / "haproxy.cfg")], stderr=subprocess.PIPE, text=True)
    try:
        latest = time.monotonic() + START_S
        while not (folder / "web").exists():
            if process.poll() is not None or time.monotonic() > latest:
                process.kill()
                raise RuntimeError(f"HAProxy does not start: {process.communicate()[1]}")
            time.sleep(0.02)
        yield HAProxy(folder)
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextmanager
def relay(haproxy: HAProxy, change: Callable[[str, Callable[[str], str]], str]) -> Iterator[str]:
    """A runtime socket in front of the real one, where `change(command, ask the real one)` gives each answer; its path."""

    def ask(command: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(haproxy.socket)
            connection.sendall(command.encode())
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            command = b"".join(iter(lambda: self.request.recv(65536), b"")).decode()
            self.request.sendall(change(command, ask).encode())

    path = str(haproxy.folder / "relay")
    with socketserver.UnixStreamServer(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield path
        finally:
            server.shutdown()
            thread.join()

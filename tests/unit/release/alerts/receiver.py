"""A real HTTP receiver of messages, which can be told to fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """`got`: the documents it took. While `status` is no 200 it takes none. `hold`: it answers only once this is set."""

    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0
    status: int = 200
    hold: threading.Event | None = None


@contextmanager
def open_receiver() -> Iterator[Receiver]:
    """On a free port of the loopback address."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.asked += 1
            if receiver.hold is not None:
                receiver.hold.wait(10)
            if receiver.status == 200:
                receiver.got.append(document)
            self.send_response(receiver.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()

"""A wire that is torn at the worst moment: when a COMMIT is on its way, or its answer is."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Callable

from tests.integration.target.wire import Wire

COMMITS = (b"COMMIT", "COMMIT".encode("utf-16-le"))
EVERY = 12
"""One COMMIT of so many loses its answer, and another never arrives."""


class CommitWire(Wire):
    """Forwards all, but tears every connection at some COMMITs: some before they arrive, some before they are answered."""

    def __init__(self, host: str, port: int) -> None:
        self.commits = itertools.count()
        super().__init__(host, port)

    def _pump(self, source: socket.socket, sink: socket.socket, passes: Callable[[int], bool]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                turn = next(self.commits) % EVERY if any(word in data for word in COMMITS) else None
                if turn == EVERY // 2:
                    self.cut_after_answer = 1
                if turn == EVERY - 1 or not passes(len(data)):
                    self.cut()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

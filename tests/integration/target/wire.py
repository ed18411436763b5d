"""A wire between a client and the target that a test can cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Wire:
    """Forwards TCP connections from a port of its own. It is torn, once each, `cut_after` bytes from the client and
    `cut_after_answer` bytes from the target after these were set: what was forwarded arrives, and nothing else does.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.cut_after: int | None = None
        self.cut_after_answer: int | None = None
        self.ends: list[socket.socket] = []
        self.torn: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Tear all connections; new ones are let through."""
        ends, self.ends = self.ends, []
        self.torn += ends  # closed at the end only: a thread that is still reading must not meet a new connection's descriptor
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Tear all connections and let no other through."""
        self.listener.close()
        self.cut()
        for end in self.torn:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self.target)
            except OSError:  # as if there were no wire: refused
                client.close()
                continue
            self.ends += [client, server]
            threading.Thread(target=self._pump, args=(client, server, self._passes), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, self._answer_passes), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, passes: Callable[[int], bool]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not passes(len(data)):
                    self.cut()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _passes(self, size: int) -> bool:
        self.cut_after, passes = count_down(self.cut_after, size)
        return passes

    def _answer_passes(self, size: int) -> bool:
        self.cut_after_answer, passes = count_down(self.cut_after_answer, size)
        return passes


def count_down(left: int | None, size: int) -> tuple[int | None, bool]:
    """What is left of a limit, None when there is none (any more), and whether these bytes still pass.

    >>> count_down(None, 7), count_down(10, 7), count_down(3, 7)
    ((None, True), (3, True), (None, False))
    """
    if left is None:
        return None, True
    return (left - size, True) if size < left else (None, False)


@contextmanager
def open_wire(host: str, port: int) -> Iterator[Wire]:
    """A wire to host:port, cut and closed at the end."""
    wire = Wire(host, port)
    try:
        yield wire
    finally:
        wire.close()

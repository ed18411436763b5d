"""The page of metrics, served while sync runs: to this machine only, unless somebody insists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Final

from etl.errors import ConfigurationError, UsageError
from etl.local_http import Address, Handler, is_loopback, read_address, serving
from etl.sync.metrics import CONTENT_TYPE

PATHS: Final = ("/", "/metrics")


def parse_address(text: str, *, anywhere: bool = False) -> Address:
    """HOST:PORT, or a port of this machine. Raises UsageError; also for a host that others reach, unless `anywhere`."""
    address = read_address(text)
    if address is None:
        raise UsageError(f"{text!r} is no address to serve metrics at.", "Give host and port, such as 127.0.0.1:9187.")
    if not anywhere and not is_loopback(address.host):
        raise UsageError(
            f"{address.host} is not an address of this machine alone: anybody who reaches it could read the metrics.",
            "Serve them at 127.0.0.1:PORT, or add --metrics-anywhere where the network is safe.",
        )
    return address


@contextmanager
def serve_metrics(address: Address, page: Callable[[], str]) -> Iterator[Address]:
    """Serve `page()` until the end of the block; gives the address in use. Raises ConfigurationError when it is taken."""

    class Metrics(Handler):
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

    with ExitStack() as stack:
        try:
            served = stack.enter_context(serving(address, Metrics, "metrics"))
        except OSError as error:
            raise ConfigurationError(
                f"Metrics cannot be served at {address.host}:{address.port} ({error.strerror or 'no such address'}).",
                "Choose another port with --metrics, or end what uses this one.",
            ) from error
        yield served

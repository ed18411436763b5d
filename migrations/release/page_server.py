"""Serves the page of a release to this machine alone: GET only, nothing from elsewhere, nothing that is kept.

A browser may be sent here by a foreign site under a name of its own (DNS rebinding): a request has to name this machine.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from etl.errors import ConfigurationError, UsageError
from etl.local_http import Address, Handler, is_loopback, read_address, serving

DEFAULT: Final = "127.0.0.1:9188"
HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
NOTHING: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

Page = Callable[[str, str], str]
"""Makes the page, of a language ("" for the usual one) and a nonce for its style and script."""


def parse_page_address(text: str) -> Address:
    """HOST:PORT, or a port of this machine. Raises UsageError, also for a host that others reach: the page has no password."""
    address = read_address(text)
    if address is None:
        raise UsageError(f"{text!r} is no address for the page.", f"Give host and port, such as {DEFAULT}.")
    if not is_loopback(address.host):
        raise UsageError(
            f"{address.host} is not an address of this machine alone: anybody who reaches it could read the page.",
            f"Serve it at {DEFAULT}, and let others in through ssh -L or a proxy that asks who they are.",
        )
    return address


def host_of(header: str) -> str:
    """The host that a request names, without its port.

    >>> host_of("127.0.0.1:9188"), host_of("[::1]:9188"), host_of("localhost"), host_of("")
    ('127.0.0.1', '::1', 'localhost', '')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def policy(nonce: str) -> str:
    """What a browser may obey: the style and the script that we wrote, and nothing from anywhere else."""
    return f"{NOTHING}; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'"


class PageHandler(Handler):
    """Answers one request. `page` is set by `serve_page`."""

    page: Page

    def do_GET(self) -> None:
        """The page, or why not."""
        self.answer(with_body=True)

    def do_HEAD(self) -> None:
        """The same without its body."""
        self.answer(with_body=False)

    def refuse(self) -> None:
        """Everything that could change something."""
        self.close_connection = True
        self.send_response(HTTPStatus.METHOD_NOT_ALLOWED)
        self.send_header("Allow", "GET, HEAD")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = refuse

    def answer(self, *, with_body: bool) -> None:
        """One page for all; anything else is not found."""
        asked = urlsplit(self.path)
        if not is_loopback(host_of(self.headers.get("Host", ""))):
            self.send(HTTPStatus.MISDIRECTED_REQUEST, "This page is for this machine alone.", NOTHING, with_body=with_body)
        elif asked.path != "/":
            self.send(HTTPStatus.NOT_FOUND, "There is one page only: /", NOTHING, with_body=with_body)
        else:
            nonce = secrets.token_urlsafe(16)
            lang = parse_qs(asked.query).get("lang", [""])[0]
            body = type(self).page(lang if lang in ("en", "zh") else "", nonce)
            self.send(HTTPStatus.OK, body, policy(nonce), with_body=with_body)

    def send(self, status: HTTPStatus, text: str, rules: str, *, with_body: bool) -> None:
        """A whole answer."""
        body = text.encode()
        self.send_response(status)
        for name, value in (*HEADERS.items(), ("Content-Security-Policy", rules), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@contextmanager
def serve_page(address: Address, page: Page) -> Iterator[Address]:
    """Serve until the end of the block; gives the address in use. `page` is called by several threads and raises nothing.
    Raises ConfigurationError when the address is taken."""

    class ThisPage(PageHandler):
        pass

    ThisPage.page = staticmethod(page)
    with ExitStack() as stack:
        try:
            served = stack.enter_context(serving(address, ThisPage, "page"))
        except OSError as error:
            raise ConfigurationError(
                f"The page cannot be served at {address.host}:{address.port} ({error.strerror or 'no such address'}).",
                "Choose another port with --page, or end what uses this one.",
            ) from error
        yield served

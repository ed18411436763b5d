"""The page of a release: what it shows, to whom, and what it never does."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from etl.errors import ConfigurationError, UsageError
from etl.local_http import Address
from migrations.release.alerts.model import Alert, Standing
from migrations.release.events import Forced, Paused
from migrations.release.page_server import parse_page_address, serve_page
from migrations.release.view import ReleaseView, read_view
from reports.release_page import MOST_EVENTS, render_release_page, render_trouble_page
from tests.unit.release.example_logs import NOON, PLAN, Story, completed, in_the_middle, pilot_moved, rolled_back
from tests.unit.test_chinese_reports import is_english

EVIL = "</title></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'"
RED = Standing(1, Alert("k", "red", "Errors", "25 % fail", "back", "look"), NOON, NOON, 1, 0)


def view_of(story: Story) -> ReleaseView:
    """At its end."""
    view = read_view(story.log, PLAN, (), (RED,), story.now, "db1 12")
    assert view is not None
    return view


class Words(HTMLParser):
    """The texts of a page, its elements, and what they point to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.points: list[str] = []
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.points += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]) and data.strip():
            self.texts.append(data.strip())


@pytest.mark.parametrize("make", [pilot_moved, in_the_middle, rolled_back, completed])
def test_no_english_is_left_in_chinese(make: object) -> None:
    assert callable(make)
    view = view_of(make())
    page = render_release_page(replace(view, alerts=()), "zh", "n")
    assert not [text for text in Words(page).texts if is_english(text) and "illness" not in text]


def test_the_page_says_what_the_screen_says() -> None:
    texts = " ".join(Words(render_release_page(view_of(in_the_middle()), "en", "n")).texts)
    for part in (
        "red alerts open: 1", "finish the switch", "S4 fenced · reconcile", "training 85 %", "illness", "Errors",
        "wang approves wave 2", "db1 12, map 4",
    ):  # fmt: skip
        assert part in texts, part


def test_what_somebody_typed_stays_text() -> None:
    """A reason given on the command line would have run in the browser of whoever watches."""
    story = pilot_moved().add(Forced("training", EVIL, EVIL), Paused(EVIL))
    view = replace(view_of(story), release=EVIL, holder=EVIL, trouble=(EVIL,), sick=EVIL)
    alert = replace(RED, alert=replace(RED.alert, title=EVIL, happened=EVIL, done=EVIL, todo=EVIL))
    words = Words(render_release_page(replace(view, alerts=(alert,)), "en", "n"))
    assert words.tags.count("script") == 1
    assert "img" not in words.tags
    assert not words.handlers
    assert words.points == ["?lang=zh"]
    assert "<script>" not in render_trouble_page(EVIL, EVIL, "en")


def test_a_long_history_is_cut_and_says_so() -> None:
    """A release of weeks would have made a page of megabytes, every three seconds."""
    story = pilot_moved().minutes(*([0.03] * (MOST_EVENTS + 10)))
    page = render_release_page(view_of(story), "en", "n")
    assert page.count("<tr>") < MOST_EVENTS + 20
    assert re.search(r"and 2\d more", page)
    assert len(page) < 400_000


@pytest.fixture(scope="module")
def served() -> Iterator[Address]:
    view = view_of(in_the_middle())
    with serve_page(Address("127.0.0.1", 0), lambda lang, nonce: render_release_page(view, lang or "en", nonce)) as address:
        yield address


def ask(address: Address, method: str = "GET", path: str = "/", **headers: str) -> tuple[http.client.HTTPResponse, str]:
    """One request."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def test_a_browser_obeys_nothing_but_our_own_style_and_script(served: Address) -> None:
    answer, page = ask(served)
    rules = answer.getheader("Content-Security-Policy") or ""
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", rules)
    assert answer.status == 200
    assert nonce is not None
    assert "default-src 'none'" in rules
    assert "frame-ancestors 'none'" in rules
    assert page.count(f'nonce="{nonce[1]}"') == 2
    assert nonce[1] not in (ask(served)[0].getheader("Content-Security-Policy") or "")
    assert answer.getheader("Cache-Control") == "no-store"
    assert "Python" not in (answer.getheader("Server") or "")


def test_it_works_without_script(served: Address) -> None:
    assert re.search(r'<noscript><meta http-equiv="refresh" content="\d+"></noscript>', ask(served)[1])


def test_the_language_can_be_asked_for(served: Address) -> None:
    assert 'lang="zh-CN"' in ask(served, path="/?lang=zh")[1]
    assert '<html lang="en">' in ask(served, path="/?lang=%3Cscript%3E")[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading(served: Address, method: str) -> None:
    answer, _ = ask(served, method)
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD")


def test_head_and_other_paths(served: Address) -> None:
    answer, body = ask(served, "HEAD")
    assert (answer.status, body) == (200, "")
    assert ask(served, path="/../../etc/passwd")[0].status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9188", "127.0.0.1.evil.example", ""])
def test_a_foreign_name_for_this_machine_is_refused(served: Address, host: str) -> None:
    """A web site that somebody has open would have read the state of all stores through their browser (DNS rebinding)."""
    answer, body = ask(served, Host=host)
    assert answer.status == 421
    assert "autumn" not in body


@pytest.mark.parametrize("host", ["localhost:9188", "127.0.0.1", "[::1]:9188"])
def test_this_machine_by_its_own_names(served: Address, host: str) -> None:
    assert ask(served, Host=host)[0].status == 200


@pytest.mark.parametrize("text", ["0.0.0.0:9188", "10.0.0.1:80", "example.com:80", "9188x", ":80", "127.0.0.1:70000", "[::]:80"])
def test_addresses_that_others_reach_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_page_address(text)


def test_an_address_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="cannot be served"), serve_page(address, lambda lang, nonce: ""):
            pass

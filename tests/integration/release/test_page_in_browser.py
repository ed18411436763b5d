"""The page of a release in a real browser, headless Chromium: wide and narrow, in both languages, with script and without."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from etl.local_http import Address
from migrations.release.events import Forced
from migrations.release.page_server import serve_page
from migrations.release.view import ReleaseView, read_view
from reports.html import render_html
from reports.release_page import render_release_page
from tests.unit.release.example_logs import PLAN, Story, in_the_middle
from tests.unit.release.timeline_documents import documents

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt package chromium)")
MEASURE = "document.body.dataset.wide = document.documentElement.scrollWidth + ' of ' + innerWidth;"
HOSTILE = "<script>document.body.dataset.broken = 1</script><img src=x onerror='document.body.dataset.broken = 1'>"


@dataclass(frozen=True)
class Browser:
    """A browser with a profile of its own."""

    folder: Path

    def run(self, *options: str) -> tuple[str, str]:
        """What it prints, and what pages complain of."""
        assert CHROMIUM is not None
        common = (
            "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr",
            f"--user-data-dir={self.folder / 'profile'}",
        )  # fmt: skip
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        done = subprocess.run(
            [CHROMIUM, *common, *sandbox, *options], capture_output=True, text=True, timeout=120, cwd=self.folder, check=True
        )
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)

    def dump(self, url: str, *options: str) -> tuple[str, str]:
        """The document as it is after its script ran for a while."""
        return self.run("--virtual-time-budget=5000", *options, "--dump-dom", url)

    def screenshot(self, url: str, width: int, name: str) -> Path:
        """A picture of the page; kept where MEMBERSHIFT_SCREENSHOTS says, to be looked at."""
        kept = os.environ.get("MEMBERSHIFT_SCREENSHOTS")
        path = (Path(kept) if kept else self.folder) / f"{name}-{width}.png"
        self.run(f"--window-size={width},1700", f"--screenshot={path}", url)
        return path


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path)


def view_of(story: Story) -> ReleaseView:
    """At its end."""
    view = read_view(story.log, PLAN, (), (), story.now, "db1 12")
    assert view is not None
    return view


@contextmanager
def served(look: Callable[[], ReleaseView]) -> Iterator[str]:
    """The page, with a script of the test's own that is allowed to run, as it has the nonce."""

    def page(lang: str, nonce: str) -> str:
        text = render_release_page(look(), lang or "en", nonce)
        return text.replace("</body>", f'<script nonce="{nonce}">{MEASURE}</script></body>')

    with serve_page(Address("127.0.0.1", 0), page) as address:
        yield address.url


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_it_fits_a_desk_and_a_telephone(browser: Browser, lang: str) -> None:
    """Whoever is paged at night looks at it on a telephone."""
    view = view_of(in_the_middle())
    with served(lambda: view) as url:
        document, complaints = browser.dump(f"{url}?lang={lang}", "--window-size=500,1700")
        found = re.search(r'data-wide="(\d+) of (\d+)"', document)
        assert found is not None
        assert int(found[1]) <= int(found[2]), "it has to be scrolled sideways"
        assert not complaints
        for width in (1280, 400):
            header = browser.screenshot(f"{url}?lang={lang}", width, f"release-{lang}").read_bytes()[:24]
            assert struct.unpack(">II", header[16:24]) == (width, 1700)
    assert ("finish the switch" in document) is (lang == "en")


def test_it_renews_itself_under_its_own_rules(browser: Browser) -> None:
    """A policy that forbids the page its own script would have shown the state of an hour ago."""
    view, looks = view_of(in_the_middle()), [0]

    def look() -> ReleaseView:
        looks[0] += 1
        return replace(view, holder=f"look {looks[0]}")

    with served(look) as url:
        document, complaints = browser.dump(url)
    assert looks[0] >= 2
    assert "look 1," not in document
    assert re.search(r"look \d+, map 4", document)
    assert not complaints


def test_when_the_watch_is_gone_the_page_says_so(browser: Browser) -> None:
    """The last good picture would have stood there for ever."""
    view, looks = view_of(in_the_middle()), [0]

    def look() -> ReleaseView:
        looks[0] += 1
        if looks[0] > 1:
            raise ConnectionError
        return view

    with served(look) as url:
        document, _ = browser.dump(url)
    assert re.search(r'<body[^>]*class="lost"', document)


def test_what_somebody_typed_does_not_run(browser: Browser) -> None:
    view = replace(view_of(in_the_middle().steps().add(Forced("lag", HOSTILE, HOSTILE))), release=HOSTILE, trouble=(HOSTILE,))
    with served(lambda: view) as url:
        document, complaints = browser.dump(url)
    assert "data-wide" in document
    assert "data-broken" not in document
    assert not complaints


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_report_as_a_file(browser: Browser, lang: str) -> None:
    """Approvers open it from a mail, without any server."""
    path = browser.folder / "report.html"
    path.write_text(render_html(next(documents(lang))))
    document, complaints = browser.dump(path.as_uri())
    assert document.count("<rect") > 20
    assert not complaints
    for width in (1280,) if lang == "en" else (400,):
        assert browser.screenshot(path.as_uri(), width, f"report-{lang}").stat().st_size > 20_000

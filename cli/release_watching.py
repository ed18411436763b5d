"""The foreground of membershift release watch: a live screen or plain lines, and the page beside it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cli.output import console, show_note
from cli.release_screen import ReleaseScreen, plain_line
from etl.errors import OpsError

if TYPE_CHECKING:
    from migrations.release.page_server import Page
    from migrations.release.view import ReleaseView

LINE_S: Final = 10.0
"""How often a line is written where nobody watches."""


def keep_watching(look: Callable[[], ReleaseView], lang: str, page_at: str, *, once: bool) -> None:
    """Until Ctrl-C, which is no failure. Raises what `look` raises at first; later trouble is waited out."""
    first = look()
    if once:
        console().print(ReleaseScreen(lambda: first, lang))
        return
    patient = Patient(look, first)
    try:
        live_screen(patient.look, lang, page_at) if sys.stdout.isatty() else plain_lines(patient.look, lang, page_at)
    except KeyboardInterrupt:
        return


class Patient:
    """Shows what was seen last, and says so, while state.db cannot be read."""

    def __init__(self, look: Callable[[], ReleaseView], first: ReleaseView) -> None:
        self.inner, self.last = look, first

    def look(self) -> ReleaseView:
        """As it is now, or was."""
        from dataclasses import replace

        try:
            self.last = self.inner()
        except OpsError as error:
            return replace(self.last, trouble=(error.message,))
        return self.last


def live_screen(look: Callable[[], ReleaseView], lang: str, page_at: str) -> None:
    """One picture, drawn anew every second; the last one stays."""
    from rich.live import Live

    with Live(ReleaseScreen(look, lang, page_at), console=console(), refresh_per_second=1, vertical_overflow="crop"):
        while True:
            time.sleep(3_600)


def plain_lines(look: Callable[[], ReleaseView], lang: str, page_at: str) -> None:
    """A line every LINE_S seconds on standard error."""
    if page_at:
        show_note(page_at)
    while True:
        show_note(plain_line(look(), lang))
        time.sleep(LINE_S)


def page_of(look: Callable[[], ReleaseView], usual: str) -> Page:
    """What the page shows, whatever happens: a page that goes white tells nobody why."""
    from reports.release_page import render_release_page, render_trouble_page

    def page(lang: str, nonce: str) -> str:
        try:
            return render_release_page(look(), lang or usual, nonce)
        except OpsError as error:
            return render_trouble_page(error.message, error.remedy, lang or usual)

    return page

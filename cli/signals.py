"""SIGTERM for commands that start servers of their own."""

from __future__ import annotations

import signal


def end_as_by_ctrl_c() -> None:
    """From now on SIGTERM ends this process as Ctrl-C does: what it has started is stopped, and its folder tidied."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)

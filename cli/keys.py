"""Single keys from the terminal, or the first letter of each line where there is none."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ReadKey = Callable[[], str]
END = ""
"""What is read when nothing more comes."""


@contextmanager
def open_keys() -> Iterator[ReadKey]:
    """A function that waits for one key and returns it, lower case; END when the input is at its end.

    A terminal gives its keys at once, without echo, until this closes; Ctrl-C still interrupts. Anything else (a pipe, a system
    without termios) gives lines, of which the first letter counts.
    """
    try:
        import termios
        import tty
    except ImportError:
        yield read_line
        return
    if not sys.stdin.isatty():
        yield read_line
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield lambda: read_key(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def read_key(descriptor: int) -> str:
    """One key. What is longer than a letter (an arrow, a Chinese character) is taken whole, and means nothing."""
    data = os.read(descriptor, 1)
    if data and (data == b"\x1b" or data[0] >= 0x80):
        while select.select([descriptor], [], [], 0.02)[0]:
            data += os.read(descriptor, 16)
        return "?"
    if data == b"\x04":  # Ctrl-D arrives as itself where lines are not edited
        return END
    return data.decode("ascii").lower()


def read_line() -> str:
    """The first letter of the next line; an empty line is the key of Enter."""
    line = sys.stdin.readline()
    if not line:
        return END
    return line.strip()[:1].lower() or "\n"

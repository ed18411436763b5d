"""Text files as people send them: which encoding, which separator, and where the header is."""

from __future__ import annotations

import codecs
import csv
import io
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from etl.errors import UsageError
from etl.load.import_profile import Profile, match_header

SEPARATORS: Final = (",", ";", "\t", "|")
BLOCK: Final = 1 << 20
HEADER_WITHIN: Final = 10
"""The header is looked for in this many first lines: exports often begin with a title."""
DAMAGED_SHARE: Final = 0.05
"""UTF-8 of which fewer characters than this are broken is damaged UTF-8, not another encoding."""
REPLACEMENT: Final = "\ufffd"


@dataclass(frozen=True)
class TextForm:
    """How a text file is to be read: the header ends with line `header_lines` and is record `header_record`, both from 1."""

    encoding: str
    separator: str
    header_lines: int
    header_record: int
    header: tuple[str, ...]


def detect_form(path: Path, file: BinaryIO, profile: Profile) -> TextForm:
    """Encoding, separator and header of a text file. Raises UsageError when no line looks like a header of this profile."""
    encoding = detect_encoding(path, file)
    file.seek(0)
    start = codecs.getincrementaldecoder(encoding)(errors="replace").decode(file.read(BLOCK)).lstrip("\ufeff")
    best: tuple[int, TextForm] | None = None
    for separator in SEPARATORS:
        for record, (lines, cells) in enumerate(first_records(start, separator), 1):
            found = len(match_header(profile, cells).columns)
            if found and (best is None or found > best[0]):
                best = (found, TextForm(encoding, separator, lines, record, tuple(cells)))
    if best is None:
        wanted = ", ".join((*column.names[:1], column.name)[0] for column in profile.columns)
        raise UsageError(
            f"No line at the beginning of {path.name} has names of columns that --as {profile.name} knows.",
            f"The first line must name the columns, such as: {wanted}.",
        )
    return best[1]


def first_records(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """The first records of a text, each with the number of lines up to its end."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    records: list[tuple[int, list[str]]] = []
    with suppress(csv.Error):  # a field beyond csv's limit: what came before it is enough
        for record in reader:
            records.append((reader.line_num, record))
            if len(records) == HEADER_WITHIN:
                break
    return records


def detect_encoding(path: Path, file: BinaryIO) -> str:
    """UTF-8, UTF-16 or GB18030, with or without a byte order mark. Raises UsageError for anything else."""
    file.seek(0)
    start = file.read(4_096)
    if start.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start and start.count(0) * 4 > len(start):
        return "utf-16-le" if start[1::2].count(0) > start[0::2].count(0) else "utf-16-be"
    broken, beyond_ascii = broken_characters(file, "utf-8")
    if broken == 0 or broken <= beyond_ascii * DAMAGED_SHARE:
        return "utf-8"
    if broken_characters(file, "gb18030")[0] == 0:
        return "gb18030"
    raise UsageError(
        f"{path.name} is neither UTF-8 nor UTF-16 nor GB18030.",
        "Save it again as CSV UTF-8, which Excel offers under Save as.",
    )


def broken_characters(file: BinaryIO, encoding: str) -> tuple[int, int]:
    """(characters that cannot be read, characters beyond ASCII) of the whole file in `encoding`."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    broken = beyond = 0
    while True:
        block = file.read(BLOCK)
        text = decoder.decode(block, final=not block)
        broken += text.count(REPLACEMENT)
        beyond += len(text) - len(text.encode("ascii", "ignore"))
        if not block:
            return broken, beyond


class Utf8Stream(io.RawIOBase):
    """A text file of any encoding as a stream of UTF-8 bytes. What cannot be read becomes U+FFFD: its row will be rejected."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._waiting = b""
        self._ended = False
        file.seek(0)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill `buffer` with what fits."""
        view = memoryview(buffer)  # type: ignore[arg-type]  # io gives any writable buffer
        while not self._waiting and not self._ended:
            block = self._file.read(BLOCK)
            self._ended = not block
            self._waiting = self._decoder.decode(block, final=self._ended).encode("utf-8", "replace")
        taken = self._waiting[: len(view)]
        view[: len(taken)] = taken
        self._waiting = self._waiting[len(taken) :]
        return len(taken)

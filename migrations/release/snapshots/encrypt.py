"""Files that only the holder of a key can read: AES-256-GCM in chunks, so that no file is in memory whole while it is written.

A file is MAGIC, the id of its key (8 bytes), a random prefix (7 bytes), then chunks of CHUNK bytes, each with a tag of 16 bytes.
The nonce of a chunk is the prefix, its number (4 bytes) and whether it is the last (1 byte): chunks can be neither exchanged nor
left out, and a file that was cut short does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol
from urllib.parse import unquote

from etl.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC: Final = b"MSHIFT1\n"
CHUNK: Final = 1 << 16
TAG: Final = 16
PREFIX: Final = 7
KEY_ID: Final = 8


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes) -> int: ...


@dataclass(frozen=True)
class Key:
    """A key of 256 bits, and the name by which files remember it."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """Tells keys apart, and nothing of what they are."""
        return hashlib.sha256(b"membershift key " + self.secret).hexdigest()[: 2 * KEY_ID]

    def cipher(self) -> AESGCM:
        """The cipher. Raises ConfigurationError when the package that has it is missing."""
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ConfigurationError(
                "Snapshots are to be encrypted, but the package cryptography is not installed.",
                "Install it beside membershift, or take [snapshots] key out of membershift.toml.",
            ) from error
        return AESGCM(self.secret)


def read_key(text: str) -> Key:
    """A key as the configuration has it: 32 bytes, as 64 hexadecimal digits or in base64. Raises ConfigurationError."""
    plain = unquote(text).strip()  # what comes from a reference was quoted for use in a URL
    try:
        secret = bytes.fromhex(plain) if len(plain) == 64 else base64.b64decode(plain, validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if len(secret) != 32:
        raise ConfigurationError(
            "[snapshots] key is no key: it takes 32 random bytes, in hexadecimal or base64.",
            'Make one: openssl rand -hex 32 > snapshot.key; then key = "${file:snapshot.key}"',
        )
    return Key(secret)


class EncryptingFile:
    """Takes bytes from start to end, and passes them on encrypted. `close` writes the last chunk; the sink stays open."""

    def __init__(self, sink: Sink, key: Key) -> None:
        self._sink, self._cipher = sink, key.cipher()
        self._header = MAGIC + bytes.fromhex(key.id) + secrets.token_bytes(PREFIX)
        self._waiting = bytearray()
        self._number = 0
        self._size = 0
        self.closed = False
        sink.write(self._header)

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self._waiting += data
        self._size += len(data)
        while len(self._waiting) > CHUNK:
            self._put(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def tell(self) -> int:
        """Bytes taken."""
        return self._size

    def flush(self) -> None:
        """A chunk is written when it is full."""

    def close(self) -> None:
        """Write what is left as the last chunk."""
        if not self.closed:
            self._put(bytes(self._waiting), last=True)
            self.closed = True

    def _put(self, data: bytes, *, last: bool) -> None:
        self._sink.write(self._cipher.encrypt(nonce(self._header, self._number, last=last), data, self._header))
        self._number += 1


def nonce(header: bytes, number: int, *, last: bool) -> bytes:
    """Of one chunk: never the same twice under one key."""
    return header[-PREFIX:] + number.to_bytes(4, "big") + (b"\x01" if last else b"\x00")


def decrypt(file: BinaryIO, keys: Sequence[Key]) -> io.BytesIO:
    """The plain bytes of a file that `EncryptingFile` wrote with one of the keys. Raises ConfigurationError."""
    from cryptography.exceptions import InvalidTag

    header = file.read(len(MAGIC) + KEY_ID + PREFIX)
    wanted = header[len(MAGIC) : len(MAGIC) + KEY_ID].hex()
    key = next((key for key in keys if key.id == wanted), None)
    if not header.startswith(MAGIC) or key is None:
        raise ConfigurationError(
            f"The snapshot is encrypted with key {wanted}, which is not among those of [snapshots].",
            "Add it to old_keys there.",
        )
    cipher, plain, number = key.cipher(), io.BytesIO(), 0
    chunk = file.read(CHUNK + TAG)
    try:
        while True:
            following = file.read(CHUNK + TAG)
            plain.write(cipher.decrypt(nonce(header, number, last=not following), chunk, header))
            if not following:
                break
            chunk, number = following, number + 1
    except (InvalidTag, ValueError) as error:
        raise ConfigurationError(
            "A file of the snapshot was damaged, cut short or written by somebody else.",
            "Do not restore from it; take another snapshot.",
        ) from error
    plain.seek(0)
    return plain

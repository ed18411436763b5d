"""Encrypted files: what comes out is what went in, and nothing comes out of a file that anybody touched."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ConfigurationError
from migrations.release.snapshots.encrypt import CHUNK, KEY_ID, MAGIC, PREFIX, TAG, EncryptingFile, Key, decrypt, read_key

KEY = Key(bytes(range(32)))
HEADER = len(MAGIC) + KEY_ID + PREFIX


def encrypted(content: bytes, key: Key = KEY, pieces: int = 1) -> bytes:
    """A whole file, written in so many pieces."""
    sink = io.BytesIO()
    file = EncryptingFile(sink, key)
    size = -(-len(content) // pieces) or 1
    for first in range(0, len(content), size):
        file.write(content[first : first + size])
    file.close()
    return sink.getvalue()


@given(length=st.sampled_from([0, 1, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5]), pieces=st.integers(1, 5))
def test_what_goes_in_comes_out(length: int, pieces: int) -> None:
    content = bytes(index * 7 % 251 for index in range(length))
    assert decrypt(io.BytesIO(encrypted(content, pieces=pieces)), [KEY]).read() == content


@given(st.data())
def test_no_bit_can_be_changed(data: st.DataObject) -> None:
    file = bytearray(encrypted(b"sale" * 20_000))
    file[data.draw(st.integers(0, len(file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ConfigurationError):
        decrypt(io.BytesIO(file), [KEY])


@pytest.mark.parametrize("length", [0, HEADER - 1, HEADER, HEADER + CHUNK + TAG, -1, -TAG])
def test_a_file_cut_short_does_not_open(length: int) -> None:
    """Cut between two chunks, it would open as fewer rows, and a restore would delete the others."""
    file = encrypted(b"x" * (2 * CHUNK))
    with pytest.raises(ConfigurationError):
        decrypt(io.BytesIO(file[:length]), [KEY])


def test_chunks_cannot_change_places_or_come_from_another_file() -> None:
    chunk = CHUNK + TAG
    one, two = encrypted(b"1" * (3 * CHUNK)), encrypted(b"2" * (3 * CHUNK))
    swapped = one[:HEADER] + one[HEADER + chunk : HEADER + 2 * chunk] + one[HEADER : HEADER + chunk] + one[HEADER + 2 * chunk :]
    mixed = one[: HEADER + chunk] + two[HEADER + chunk :]
    for file in (swapped, mixed, one + two[HEADER:], one[:HEADER] + one[HEADER + chunk :]):
        with pytest.raises(ConfigurationError):
            decrypt(io.BytesIO(file), [KEY])


def test_the_same_content_never_gives_the_same_file() -> None:
    assert encrypted(b"sale") != encrypted(b"sale")


def test_another_key_is_named_by_its_id_and_never_shown() -> None:
    other = Key(b"\x01" * 32)
    with pytest.raises(ConfigurationError) as raised:
        decrypt(io.BytesIO(encrypted(b"sale", other)), [KEY])
    assert other.id in raised.value.message
    assert decrypt(io.BytesIO(encrypted(b"sale", other)), [KEY, other]).read() == b"sale"
    assert "0101" not in repr(other)


@pytest.mark.parametrize(
    "text", ["ab" * 32, "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s%3D"]
)
def test_a_key_is_read_as_openssl_prints_it_and_as_a_reference_quotes_it(text: str) -> None:
    assert read_key(text).secret == b"\xab" * 32


@pytest.mark.parametrize("text", ["", "secret", "ab" * 31, "zz" * 32, "ab" * 33])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_key(text)
    assert not text or text not in raised.value.message + raised.value.remedy

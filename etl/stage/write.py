"""Writing one chunk: Arrow batches in, one Parquet file with its hash out, while the next batches are already being read."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from etl.personal_files import write_personal_file

ROW_GROUP_ROWS: Final = 32_768
_WAITING_BATCHES: Final = 2
COMPRESSION: Final = "zstd"
"""At level 1 it costs no more CPU than lz4 and takes half the space (49 bytes a member); dictionaries cost twice the CPU."""


@dataclass(frozen=True)
class WrittenChunk:
    """A complete file: its rows, bytes and SHA-256."""

    rows: int
    bytes: int
    sha256: str


class HashingFile:
    """A file to write to from start to end, hashed on the way, so that it need not be read again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Write and hash."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written."""
        return self.size

    def flush(self) -> None:
        """Pass on to the file."""
        self._file.flush()

    def close(self) -> None:
        """The file belongs to the caller."""
        self.closed = True

    def hexdigest(self) -> str:
        """The hash so far."""
        return self._digest.hexdigest()


def write_chunk(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], check_rows: Callable[[int], None]
) -> WrittenChunk:
    """Write `batches` to `path`, where a file stands only if everything succeeded.

    `check_rows` is called with the number of rows once the last batch is read, and may refuse it by raising. Memory: a row group
    and a few batches. Raises ConfigurationError when the disk is full.
    """
    rows = 0
    with write_personal_file(path) as file:
        hashing = HashingFile(file)
        with _written_beside(hashing, schema) as put:
            for batch in batches:
                rows += batch.num_rows
                put(batch)
            check_rows(rows)
    return WrittenChunk(rows=rows, bytes=hashing.size, sha256=hashing.hexdigest())


@contextmanager
def _written_beside(file: HashingFile, schema: pa.Schema) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """A thread that encodes and writes what it is given: Arrow works without the GIL, so reading goes on meanwhile."""
    waiting: queue.Queue[pa.RecordBatch | None] = queue.Queue(_WAITING_BATCHES)
    abandoned = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        writing = pool.submit(_write_all, iter(waiting.get, None), file, schema, abandoned)

        def put(batch: pa.RecordBatch | None) -> None:
            while True:
                if writing.done():
                    return writing.result()  # it ends early only by failing
                with suppress(queue.Full):
                    return waiting.put(batch, timeout=0.2)

        try:
            yield put
        except BaseException:
            abandoned.set()
            raise
        finally:
            if not writing.done():
                put(None)
        writing.result()


def _write_all(batches: Iterator[pa.RecordBatch], file: HashingFile, schema: pa.Schema, abandoned: threading.Event) -> None:
    """Write row groups of ROW_GROUP_ROWS or a little more. No statistics: what is written is read as a whole."""
    with pq.ParquetWriter(
        file, schema, compression=COMPRESSION, compression_level=1, use_dictionary=False, write_statistics=False
    ) as writer:
        group: list[pa.RecordBatch] = []
        rows = 0
        for batch in batches:
            group.append(batch)
            rows += batch.num_rows
            if rows >= ROW_GROUP_ROWS and not abandoned.is_set():
                writer.write_table(pa.Table.from_batches(group, schema))
                group, rows = [], 0
        if rows and not abandoned.is_set():
            writer.write_table(pa.Table.from_batches(group, schema))

"""What a load test leaves in its folder while it runs, so that memory does not grow with its length: a line for each second and
operation, and the numbers of acknowledged writes."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self

import numpy as np
import numpy.typing as npt

from etl.errors import ConfigurationError
from loadtest.samples import Outcome, Samples
from loadtest.timeline import Second, Tally

SECONDS: Final = "seconds.jsonl"


@dataclass
class Results:
    """`folder` is made. `operations`: names, by number. Raises ConfigurationError when the disk is full, from every method."""

    folder: Path
    operations: Sequence[str]
    stack: ExitStack = field(default_factory=ExitStack)
    files: dict[str, IO[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def write_second(self, second: int, tallies: Second) -> None:
        """A line for each operation that something was asked of."""
        lines = [json.dumps(line_of(second, self.operations[number], tally)) for number, tally in sorted(tallies.items())]
        self.append(SECONDS, "".join(line + "\n" for line in lines).encode())

    def write_numbers(self, samples: Samples) -> None:
        """The numbers of what was acknowledged."""
        done = samples[(samples["written"] > 0) & (samples["outcome"] == Outcome.DONE)]
        for operation in np.unique(done["operation"]).tolist():
            self.append(self.numbers_file(operation), done["written"][done["operation"] == operation].tobytes())

    def numbers(self) -> dict[str, npt.NDArray[np.uint64]]:
        """All of them, by operation."""
        for file in self.files.values():
            file.flush()
        found = {}
        for number, name in enumerate(self.operations):
            path = self.folder / self.numbers_file(number)
            found[name] = np.fromfile(path, np.uint64) if path.exists() else np.empty(0, np.uint64)
        return found

    def numbers_file(self, operation: int) -> str:
        """Where those of an operation are."""
        return f"written-{operation}.u64"

    def append(self, name: str, content: bytes) -> None:
        """To one of the files."""
        try:
            if name not in self.files:
                self.files[name] = self.stack.enter_context((self.folder / name).open("wb"))
            self.files[name].write(content)
        except OSError as error:
            raise ConfigurationError(
                f"Results cannot be written to {self.folder}: {error.strerror}.", "Free space, then run the test again."
            ) from error


def line_of(second: int, operation: str, tally: Tally) -> dict[str, Any]:
    """A second of an operation. Latencies are HdrHistograms of microseconds, encoded as its libraries exchange them."""
    return {
        "second": second,
        "operation": operation,
        "outcomes": {outcome.name.lower(): tally.outcomes[outcome] for outcome in Outcome if tally.outcomes[outcome]},
        "retries": tally.retries,
        "late": tally.late,
        "response": text_of(tally.response.encode()),
        "service": text_of(tally.service.encode()),
    }


def text_of(encoded: bytes) -> str:
    """As text: the library's own encoding is text already."""
    return encoded.decode("ascii") if encoded.isascii() else base64.b64encode(encoded).decode()

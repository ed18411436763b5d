"""Why SQL Server refused a login, learnt in a process of its own.

pymssql keeps the message of a failed login for the whole process and never forgets its severity (`clr_err` of 2.4.6 resets local
variables, not the module's); nor is what was said of a connection that is closed already ever taken out. A later refusal is then
reported with the number or the text of an earlier one: "the server is starting" as "wrong password", and that as "the connection
was lost". A process that has never failed before reports the right one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from etl.source.errors import raw_parts

_START_S: Final = 30.0
"""What starting an interpreter on a busy machine may take."""


def refusal_anew(arguments: Mapping[str, object], patience_s: float) -> Exception | None:
    """What connecting with `arguments` (pymssql's) raises in a new process; None when it connects, or says nothing. The password
    goes through a pipe, never through the command line or the environment."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "etl.source.refusal"],
            input=json.dumps(dict(arguments)),
            capture_output=True,
            text=True,
            timeout=patience_s + _START_S,
            check=True,
        )
        number, text = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Exception(int(number), str(text).encode())


def main() -> None:
    """Connect once and write the error as JSON: number and text."""
    import pymssql

    try:
        pymssql.connect(**json.load(sys.stdin)).close()
    except pymssql.Error as error:
        sys.stdout.write(json.dumps(raw_parts(error)))


if __name__ == "__main__":
    main()

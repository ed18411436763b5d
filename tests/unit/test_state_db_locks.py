"""Two processes on state.db, one of them with several connections: as a controller and the commands of people are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from etl.state_db import open_state, writing

TABLES = "CREATE TABLE IF NOT EXISTS noted (what TEXT NOT NULL) STRICT;"
ANOTHER = """
import sys
from pathlib import Path
from etl.state_db import open_state
with open_state(Path(sys.argv[1]), "") as connection:
    print([row["what"] for row in connection.execute("SELECT what FROM noted")])
"""


def read_elsewhere(folder: Path) -> str:
    """What another process reads, opening the file and closing it again."""
    return subprocess.run(
        [sys.executable, "-c", ANOTHER, str(folder)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_a_second_connection_that_closes_does_not_cost_what_the_first_writes(tmp_path: Path) -> None:
    """What this bug cost: every event of a running controller after somebody had looked at the status. Closing the file dropped
    the locks of this process, and the other process removed the log ahead of writing under its feet."""
    with open_state(tmp_path, TABLES) as first:
        with open_state(tmp_path, TABLES):
            pass
        assert read_elsewhere(tmp_path) == "[]"
        with writing(first):
            first.execute("INSERT INTO noted (what) VALUES ('kept')")
        assert read_elsewhere(tmp_path) == "['kept']"

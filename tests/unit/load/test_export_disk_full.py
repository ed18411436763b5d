"""An export or a spill for which there is no room: a clear error, and no half file, whichever library makes the content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIMITED = """
import resource, sys
from pathlib import Path
import polars as pl
from etl.assess.spill import KeySpill
from etl.errors import ConfigurationError
from etl.load.export_rejects import write_table

frame = pl.DataFrame({"hash": pl.int_range(200_000, eager=True, dtype=pl.UInt64)}).with_columns(key=pl.col("hash").hash(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    if sys.argv[1] == "spill":
        with KeySpill(Path(sys.argv[2]), rows_in_memory=1) as spill:
            spill.add("x", frame)
    else:
        write_table(Path(sys.argv[2]) / sys.argv[1], frame.head(20_000))
except ConfigurationError as error:
    print(error.message, "|", error.remedy)
    sys.exit(3)
"""


@pytest.mark.parametrize("what", ["rejects.csv", "rejects.xlsx", "spill"])
def test_no_room_is_told_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, what, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "may not grow any further" in done.stdout
    assert "Traceback" not in done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []

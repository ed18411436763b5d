"""What a bug looks like from outside: where it happened, without the values that were there."""

from __future__ import annotations

import traceback
from pathlib import Path

from etl.errors import OpsError


def describe_bug(error: Exception) -> OpsError:
    """A bug as an error with a remedy. The exception's own text is left out: it can hold personal data."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    last = ours[-1] if ours else None
    where = f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno}" if last else "an unknown place"
    return OpsError(
        f"Bug in membershift: {type(error).__name__} at {where}. Nothing more was done.",
        "Run again with MEMBERSHIFT_DEBUG=1 for the traceback (it may show member data) and report it with the line above.",
    )

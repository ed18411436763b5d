"""This machine: drivers, the state folder, its disk."""

from __future__ import annotations

import importlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from etl.checks.model import CheckResult
from etl.settings import ConnectionSettings, Settings
from etl.source.session import PLAIN

INSTALL: Final = "Install the fast drivers: uv tool install 'membershift[fast]' or pipx install 'membershift[fast]'."
LOOSE: Final = stat.S_IRWXG | stat.S_IRWXO


def check_drivers(settings: Settings) -> Iterator[CheckResult]:
    """Which driver each side uses. Costs are rows per client CPU second, measured (docs/performance.md)."""
    yield judge_driver("driver for SQL Server", "mssql_python", "mssql-python", "pymssql", settings.source, "12")
    yield judge_driver("driver for TiDB", "MySQLdb", "mysqlclient", "PyMySQL", settings.target, "6")


def judge_driver(name: str, module: str, fast: str, plain: str, settings: ConnectionSettings, times: str) -> CheckResult:
    """The fast driver where there is one and it is not refused; the plain one otherwise, with what that costs."""
    problem = import_problem(module)
    values = (("fast", fast), ("plain", plain), ("times", times), ("problem", problem or ""))
    if settings.driver == "plain":
        found = 'driver = "plain" is set: {plain}. {fast} reads about {times} times as much per CPU second.'
        return CheckResult(name, "here", "warn", found, 'Set driver = "auto" unless {fast} must not be used here.', values)
    if problem is None:
        return CheckResult(name, "here", "ok", "{fast}, the fast one.", values=values)
    if settings.driver == "fast":
        return CheckResult(name, "here", "fail", 'driver = "fast" is set, but {fast} cannot be used: {problem}', INSTALL, values)
    found = "{plain}. {fast} reads about {times} times as much per CPU second, but cannot be used: {problem}"
    return CheckResult(name, "here", "warn", found, INSTALL, values)


def check_driver_in_use(settings: ConnectionSettings, used: str) -> Iterator[CheckResult]:
    """The fast driver can be installed and still not connect: its own TLS library or the server refuse."""
    if used == PLAIN and settings.driver == "auto" and import_problem("mssql_python") is None:
        found = "mssql-python is installed but cannot connect to this server, so pymssql reads, several times slower."
        remedy = 'Set [source] driver = "fast" and run this again: the error it ends with says why.'
        yield CheckResult("driver used", "source", "warn", found, remedy)


def import_problem(module: str) -> str | None:
    """Why a driver cannot be imported, None when it can. Its shared libraries are loaded, as a missing one is the usual cause."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error).splitlines()[0] if str(error) else "not installed"
    return None


def check_disk(settings: Settings) -> Iterator[CheckResult]:
    """Free space where the stage goes, against what the configuration wants kept free."""
    folder = nearest_folder(settings.state_dir)
    free = shutil.disk_usage(folder).free / 1024**3
    wanted = settings.stage.min_free_disk_gib
    values = (("free", f"{free:,.1f}"), ("wanted", f"{wanted:,.1f}"), ("folder", str(settings.state_dir)))
    if free >= wanted:
        yield CheckResult("free disk", "here", "ok", "{free} GiB free for {folder}.", values=values)
    else:
        yield CheckResult(
            "free disk", "here", "fail", "{free} GiB free for {folder}; {wanted} GiB are to stay free.",
            "Free some space, or set [state] dir to a larger disk. `membershift assess` says how much the stage takes.", values,
        )  # fmt: skip


def check_state_folder(settings: Settings) -> Iterator[CheckResult]:
    """Whether we may write the state folder, and nobody else may read it: it holds member data."""
    folder, values = settings.state_dir, (("folder", str(settings.state_dir)),)
    if not os.access(nearest_folder(folder), os.W_OK | os.X_OK):
        yield CheckResult(
            "state folder", "here", "fail", "{folder} cannot be written.",
            "Run as the user who owns it, or set [state] dir to a folder of your own.", values,
        )  # fmt: skip
    elif folder.exists() and folder.stat().st_mode & LOOSE:
        yield CheckResult(
            "state folder",
            "here",
            "warn",
            "{folder} can be read by others; it holds member data.",
            "Run: chmod 700 {folder}",
            values,
        )
    else:
        yield CheckResult("state folder", "here", "ok", "{folder} is ours alone.", values=values)


def nearest_folder(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(candidate for candidate in (folder, *folder.parents) if candidate.is_dir())

"""Errors that people can meet, each with the exit code its cause deserves.

An error is raised where its cause is known, carries a remedy, and is printed once, without a traceback, by the command line.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CONFIGURATION = 3
    SOURCE = 4
    TARGET = 5
    DIFFERENCES = 6
    REFUSED = 7
    INTERRUPTED = 130


class OpsError(Exception):
    """A failure with a known cause. `message` says what happened and where, `remedy` what to do about it.

    Neither may hold personal data or a secret.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class UsageError(OpsError):
    """The command was called in a way that cannot be carried out: an unknown table, two options that exclude each other."""

    exit_code = ExitCode.USAGE


class ConfigurationError(OpsError):
    """membershift.toml, a mapping or a secret is missing or wrong, or local state cannot be used (disk full, locked)."""

    exit_code = ExitCode.CONFIGURATION


class SourceError(OpsError):
    """SQL Server cannot be reached or read."""

    exit_code = ExitCode.SOURCE


class TargetError(OpsError):
    """TiDB cannot be reached, read or written."""

    exit_code = ExitCode.TARGET


class RefusedError(OpsError):
    """A gate refused to go on: a changed schema, too many rejects, another copy running, rows in a table to be dropped."""

    exit_code = ExitCode.REFUSED

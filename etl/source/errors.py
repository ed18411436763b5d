"""What a failure of SQL Server means, told by its number: the same cause gets the same message whichever driver met it.

The server's own text is shown only for numbers whose text can hold nothing but names of objects; other texts may quote data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from etl.errors import SourceError


class ServerError(SourceError):
    """A SourceError with the number SQL Server or the driver gave; `transient` when trying again may help."""

    def __init__(self, message: str, remedy: str, *, number: int | None = None, transient: bool = False) -> None:
        super().__init__(message, remedy)
        self.number = number
        self.transient = transient


@dataclass(frozen=True)
class Cause:
    """Message and remedy of a known number; {server} and {text} are filled in."""

    message: str
    remedy: str
    transient: bool = False


LOST: Final = Cause(
    "The connection to the source {server} was lost.",
    "Check the network and whether the server was restarted, then run the same command again; finished work is kept.",
    transient=True,
)
UNREACHABLE: Final = Cause(
    "The source {server} cannot be reached.",
    "Check the host and port in [source] url, that SQL Server runs and listens on TCP, and the firewall between.",
    transient=True,
)
_DATABASE: Final = Cause(
    "The source {server} refused the database. {text}",
    "Check [source] databases, and give the login a user in that database (CREATE USER ... FOR LOGIN ...).",
)
_MISSING_RIGHT: Final = Cause(
    "The login lacks a right on the source {server}. {text}",
    "Grant it: SELECT on the tables to move, and VIEW CHANGE TRACKING on those that track changes.",
)
_SHAPE: Final = Cause(
    "The source {server} has no such table or column. {text}",
    "Its schema is not the one expected: compare with `membershift assess`, then `membershift stage --restart TABLE`.",
)
_SERVER_STATE: Final = Cause(
    "The login may not see how busy the source {server} is. {text}",
    "Grant it: GRANT VIEW SERVER STATE TO the login, or run without --max-load.",
)
_CONFLICT: Final = Cause(
    "The source {server} gave up a read in favour of other work (error {number}).",
    "Try again, at a quieter time if it happens again.",
    transient=True,
)
_SNAPSHOT_OFF: Final = Cause(
    "Snapshot isolation was switched off on the source {server} while it was read. {text}",
    "Run the same command again: it reads without a snapshot, or first: ALTER DATABASE ... SET ALLOW_SNAPSHOT_ISOLATION ON.",
)
_LOGIN: Final = Cause(
    "The source {server} refused the login: wrong user or password, or the login is disabled.",
    "Check the user in [source] url and the secret it names; the server's error log says which of these it was.",
)
_TRACKING_OFF: Final = Cause(
    "Change Tracking is off where it was expected on the source {server}. {text}",
    "Switch it on (ALTER TABLE ... ENABLE CHANGE_TRACKING), then: membershift stage --restart TABLE",
)
_NO_MEMORY: Final = Cause(
    "The source {server} ran out of a resource: memory, workers, tempdb or disk (error {number}).",
    "Ask its DBA to free some; run the same command with a lower --parallel or at a quieter time.",
    transient=True,
)
_TIMEOUT: Final = Cause(
    "The source {server} did not answer within query_timeout_s.",
    "Find what blocks it (sys.dm_exec_requests), or raise [source] query_timeout_s.",
    transient=True,
)

NOT_CONNECTED: Final = 20002
"""DB-Library: connecting failed, no more is known."""

NO_TRANSACTION: Final = 3902
"""COMMIT without a transaction."""

LOST_NUMBERS: Final = frozenset(
    {
        *(64, 121, 233, 10053, 10054, 10058, 10060, 10061),  # Winsock and named pipes, as passed on by drivers
        *(4221, 40197, 40501, 40540, 40613, 49918, 49919, 49920),  # Azure: moved or throttled
        *(596, 6005, 17142, 17830, 18401, 18451),  # session killed, shutting down or starting
        *(20004, 20006, 20017, 20047),  # DB-Library: read, write, end of file, dead process
    }
)
"""A connection that was there and is gone, or a server that is going down or coming up."""

NO_CONNECTION: Final = (20002, 20008, 20009, 20012, 20013, 20014)
"""DB-Library: there was no connection to begin with."""

CAUSES: Final[dict[int, Cause]] = {
    **dict.fromkeys(LOST_NUMBERS, LOST),
    **dict.fromkeys(NO_CONNECTION, UNREACHABLE),
    **dict.fromkeys((911, 916, 942, 945, 4060, 4063, 4064), _DATABASE),
    **dict.fromkeys((229, 230, 262), _MISSING_RIGHT),
    **dict.fromkeys((297, 300, 371), _SERVER_STATE),
    **dict.fromkeys((207, 208, 4902, 4922, 1088), _SHAPE),
    **dict.fromkeys((22105, 22106, 22114, 22115), _TRACKING_OFF),
    **dict.fromkeys((1205, 1222, 3960, 3961, 3966, 3967), _CONFLICT),
    **dict.fromkeys((3951, 3952, 3953), _SNAPSHOT_OFF),
    **dict.fromkeys((701, 802, 1101, 1105, 3958, 3959, 8645, 8651, 9002, 10928, 10929, 17803), _NO_MEMORY),
    **dict.fromkeys((18450, 18452, 18456, 18470, 18486, 18487, 18488), _LOGIN),
    20003: _TIMEOUT,
}
"""Every number that is told apart; the rest are reported by number alone."""

_NAMES_ONLY: Final = frozenset(
    {207, 208, 229, 230, 262, 297, 300, 371, 911, 916, 942, 945, 1088, 3952, 4060, 4063, 4064, 4902, 4922, 22105, 22106, 22115}
)
"""Numbers whose text can name objects and logins, never data."""

_LIBRARY_NUMBER: Final = re.compile(r"DB-Lib(?:rary)? error message (\d+)")
_LIBRARY_TEXT: Final = re.compile(r"\s*DB-Lib(?:rary)? error message.*", re.DOTALL)
_FROM_SERVER: Final = 20018
_LONGEST_TEXT: Final = 300


def describe(number: int | None, text: str, server: str) -> ServerError:
    """The error for `number`. `text` is the server's; it is shown only where it cannot quote data.

    >>> error = describe(208, "Invalid object name 'crm.dbo.Gone'.", "db1:1433")
    >>> error.message
    "The source db1:1433 has no such table or column. Invalid object name 'crm.dbo.Gone'."
    >>> describe(1205, "...", "db1:1433").transient, describe(245, "secret", "db1:1433").message
    (True, 'The source db1:1433 failed with error 245.')
    """
    cause = LOST if number is None else CAUSES.get(number)
    if cause is None:
        return ServerError(
            f"The source {server} failed with error {number}.",
            "Look the number up in SQL Server's list of errors (sys.messages); its text is not shown, because it may quote data.",
            number=number,
        )
    shown = text[:_LONGEST_TEXT] if number in _NAMES_ONLY else ""
    message = cause.message.format(server=server, text=shown, number=number).strip()
    return ServerError(message, cause.remedy, number=number, transient=cause.transient)


def number_and_text(error: BaseException) -> tuple[int | None, str]:
    """What pymssql says: args are (number, bytes), or ((number, bytes),) when connecting failed.

    The number can be a stale one, of the last message any connection of this process got. DB-Library's own number stands in the
    text: 20018 says that the server sent the number, any other is the failure itself; without one nothing is known.

    >>> number_and_text(ValueError((18456, b"Login failed.DB-Lib error message 20018, severity 14")))
    (18456, 'Login failed.')
    >>> number_and_text(ValueError((18456, b"DB-Lib error message 20009, severity 9:\\nUnable to connect")))
    (20009, '')
    >>> number_and_text(ValueError("other"))
    (None, '')
    """
    number, raw = raw_parts(error)
    library = _LIBRARY_NUMBER.search(raw)
    if number is None:
        return getattr(error, "number", None), ""
    if library is None:
        return None, ""
    return number if int(library[1]) == _FROM_SERVER else int(library[1]), _LIBRARY_TEXT.sub("", raw).strip()


def raw_parts(error: BaseException) -> tuple[int | None, str]:
    """Number and text as pymssql gives them; (None, "") for an error that has none."""
    arguments = error.args
    if len(arguments) == 1 and isinstance(arguments[0], tuple):
        arguments = arguments[0]
    if not arguments or not isinstance(arguments[0], int):
        return None, ""
    raw = arguments[1] if len(arguments) > 1 else b""
    return arguments[0], raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def tells_of_another(error: BaseException) -> bool:
    """Whether what pymssql says of a connection that could not be made may be of an earlier one.

    It keeps number, severity and text of what no connection of its list is to blame for, and of the most severe refusal. To be
    believed, the server's own text has to stand before DB-Library's "the server sent a message", or DB-Library has to say first
    that it could not connect, and nothing of the server.

    >>> believed = b"Login failed.DB-Lib error message 20018, severity 14", b"DB-Lib error message 20009, severity 9: unable"
    >>> [tells_of_another(ValueError((18456, raw))) for raw in believed]
    [False, False]
    >>> kept = b"DB-Lib error message 20018, severity 14", b"DB-Lib error message 20006, severity 9: DB-Lib error message 20018"
    >>> [tells_of_another(ValueError((18456, raw))) for raw in kept]
    [True, True]
    """
    raw = raw_parts(error)[1]
    numbers = [int(number) for number in _LIBRARY_NUMBER.findall(raw)]
    if not numbers:
        return False
    if numbers[0] == _FROM_SERVER:
        return not _LIBRARY_TEXT.sub("", raw).strip()
    return numbers[0] not in NO_CONNECTION or _FROM_SERVER in numbers

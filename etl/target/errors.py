"""What the target's errors mean, by number: which are ridden out, and what to say of the others.

Numbers below 2000 are MySQL's, 2000 to 2999 are raised by the client library, 8000 and above are TiDB's own
(https://docs.pingcap.com/tidb/stable/error-codes). A server's own text is shown only for errors whose text holds names, never
values: "Duplicate entry '139...'" would put a phone number into a log.
"""

from __future__ import annotations

import re
from typing import Final

from etl.errors import TargetError

CONFLICTS: Final = frozenset({1205, 1213, 8002, 8005, 8022, 8028, 9007})
"""The transaction met another one, or a schema change: the same transaction succeeds when it is done again."""

LOST: Final = frozenset({1053, 1927, 2002, 2003, 2006, 2013, 2055})
"""The server went away or is not there yet: shutting down, connection killed, refused, lost. A new connection is needed."""

NAMES_ONLY: Final = frozenset(
    {1050, 1051, 1054, 1060, 1061, 1064, 1072, 1091, 1103, 1115, 1136, 1146, 1193, 1231, 1273, 1364, 1471}
)
"""Errors whose text names objects and never shows values. 1064 is cut to where the mistake is."""

TLS_FAILED: Final = 2026
LOST_CONNECTION: Final = 2013
LOCAL_INFILE_OFF: Final = frozenset({1148, 3948, 4166})

_ADVICE: Final[dict[int, tuple[str, str]]] = {
    1021: (
        "The disk of the target is full.",
        "Free space on the target's data and temporary disks, then run the same command again.",
    ),
    1040: ("The target has too many connections.", "Raise max_connections, or lower [target] pool_size and [load] connections."),
    1041: ("The target is out of memory.", "Lower [load] batch_rows, or give the target more memory."),
    1044: ("The account has no right to this schema.", "Grant it the rights listed in docs/rights.md for both schemas."),
    1045: ("The target refused the user name or the password.", "Check [target] url and the secret it refers to."),
    1049: (
        "The schema does not exist on the target.",
        "Create it with `membershift schema up --execute`, or correct [target] schema.",
    ),
    1062: (
        "A row with this key is already there.",
        "Look for the row that holds the key; a load puts duplicates into quarantine.",
    ),
    1114: (
        "A table of the target is full.",
        "Free space on the target's disks or raise its limit, then run the same command again.",
    ),
    1130: ("The target does not accept connections from this host.", "Create the account for this host: CREATE USER name@host."),
    1142: ("The account lacks a right on a table.", "Grant it the rights listed in docs/rights.md, for both schemas."),
    1143: ("The account lacks a right on a column.", "Grant it the rights listed in docs/rights.md, on whole tables."),
    1146: ("A table does not exist on the target.", "Create the tables with `membershift schema up --execute`."),
    1153: ("A packet is larger than the target accepts.", "Raise max_allowed_packet on the target, or lower [load] batch_rows."),
    1227: ("The account lacks an administrative right.", "Grant what docs/rights.md lists for this command."),
    1251: ("The client cannot use the account's way to log in.", "Use mysql_native_password or caching_sha2_password for it."),
    1290: ("The target is in read-only mode.", "Point [target] url at the primary, or end its read-only mode."),
    1317: ("The statement was interrupted on the target.", "Somebody ended it, or a limit did; run the same command again."),
    1836: ("The target is in read-only mode.", "Point [target] url at the primary, or end its read-only mode."),
    2026: (
        "No TLS connection to the target could be made or trusted.",
        'Set [target] tls_ca to the CA of its certificate and use the host name it names; on a safe network, tls = "off".',
    ),
    3024: ("A statement took longer than the target allows.", "Raise max_execution_time for the account."),
    3159: ("The target accepts only TLS connections.", 'Set [target] tls = "verify".'),
    8004: ("A transaction is larger than TiDB accepts.", "Lower [load] batch_rows, or raise txn-total-size-limit."),
    8025: ("A row is larger than TiDB accepts (6 MiB).", "Raise txn-entry-size-limit, or leave the large column out."),
    8175: (
        "A statement needed more memory than tidb_mem_quota_query.",
        "Lower [load] batch_rows, or raise tidb_mem_quota_query.",
    ),
    8216: ("TiDB refuses explicit ids here.", "Grant SESSION_VARIABLES_ADMIN, or set allow_auto_random_explicit_insert = 1."),
}
for _number in LOCAL_INFILE_OFF:
    _ADVICE[_number] = (
        "LOAD DATA LOCAL is switched off on the target.",
        "Run SET GLOBAL local_infile = 1 there for the time of the load (it needs SYSTEM_VARIABLES_ADMIN or SUPER).",
    )
for _number in LOST:
    _ADVICE[_number] = (
        "The target cannot be reached, or the connection to it was lost.",
        "Check that it runs and that [target] url names its host and port; then run the same command again.",
    )
for _number in CONFLICTS:
    _ADVICE[_number] = (
        "A transaction kept meeting others on the target.",
        "Look for long transactions there (SHOW PROCESSLIST), then run the same command again.",
    )


class ServerError(TargetError):
    """An error of the target, with its number. `connecting`: it came while a connection was being made."""

    def __init__(self, number: int, message: str, remedy: str, *, connecting: bool = False) -> None:
        super().__init__(message, remedy)
        self.number = number
        self.connecting = connecting

    @property
    def lost(self) -> bool:
        """The connection is gone, and whatever its transaction did is undone (or, after COMMIT was sent, unknown)."""
        return self.number in LOST

    @property
    def transient(self) -> bool:
        """The same transaction, done again from its start, can succeed."""
        return self.number in CONFLICTS or self.lost


def classify(error: BaseException, where: str = "", *, connecting: bool = False) -> ServerError:
    """The ServerError that a driver's or SQLAlchemy's exception stands for. `where` is the server as host:port."""
    if isinstance(error, ServerError):
        return error
    original = getattr(error, "orig", None) or error
    return describe(number_of(original), text_of(original), where, connecting=connecting)


def describe(number: int, server_text: str = "", where: str = "", *, connecting: bool = False) -> ServerError:
    """Message and remedy of error `number`. `server_text` is used only where it cannot hold a value."""
    at = f" ({where})" if where else ""
    shown = server_text if number in NAMES_ONLY else ""
    if number == 1064:
        shown = re.sub(r"""(near ["']).*""", "", shown, flags=re.DOTALL)
    message, remedy = _ADVICE.get(
        number,
        (
            "The target refused a statement.",
            f"Look up error {number} in the manual of TiDB or MySQL; the target's log has its text.",
        ),
    )
    detail = f": {shown.strip()}" if shown else ""
    return ServerError(number, f"{message.removesuffix('.')} (error {number}{detail}){at}.", remedy, connecting=connecting)


def number_of(error: BaseException) -> int:
    """The number of a driver's exception; 2006 for the drivers' own "not connected", 0 when there is none."""
    if is_tls_failure(error):
        return TLS_FAILED
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    if number is None or number in (0, -1):
        return 2006 if type(error).__name__ == "InterfaceError" else 0
    return number


def is_tls_failure(error: BaseException) -> bool:
    """PyMySQL reports a refused certificate as 2003, with the reason in `original_exception`."""
    import ssl

    return isinstance(getattr(error, "original_exception", None) or error.__cause__, ssl.SSLError)


def text_of(error: BaseException) -> str:
    """The server's text of an exception."""
    return str(error.args[1]) if len(error.args) > 1 else ""

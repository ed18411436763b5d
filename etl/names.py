"""Names of tables on both sides, and how to quote them."""

from __future__ import annotations

from dataclasses import dataclass

from etl.errors import UsageError


@dataclass(frozen=True, order=True)
class SourceTable:
    """A table of SQL Server.

    >>> SourceTable.parse("crm.dbo.Member").quoted
    '[crm].[dbo].[Member]'
    >>> str(SourceTable.parse("[ecom].[dbo].[Order]"))
    'ecom.dbo.Order'
    """

    database: str
    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> SourceTable:
        """Read database.schema.table; brackets are allowed. Raises UsageError."""
        parts = [part.strip().removeprefix("[").removesuffix("]") for part in text.split(".")]
        if len(parts) != 3 or not all(parts):
            raise UsageError(f"{text!r} is not a table name.", "Write it as database.schema.table, such as crm.dbo.Member.")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.database}.{self.schema}.{self.name}"

    @property
    def quoted(self) -> str:
        """Three-part name for T-SQL."""
        return ".".join(bracket(part) for part in (self.database, self.schema, self.name))


def bracket(identifier: str) -> str:
    """Quote an identifier for T-SQL.

    >>> bracket("a]b")
    '[a]]b]'
    """
    return f"[{identifier.replace(']', ']]')}]"


def backtick(identifier: str) -> str:
    """Quote an identifier for TiDB and MariaDB.

    >>> backtick("a`b")
    '`a``b`'
    """
    return f"`{identifier.replace('`', '``')}`"

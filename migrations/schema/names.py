"""What the placeholders of a revision's SQL stand for. Schema names are the user's choice, so revisions never spell them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from etl.names import backtick
from etl.settings import TargetSettings

Role = Literal["business", "state"]


@dataclass(frozen=True)
class SchemaNames:
    """The names of the schema that the applications use and of the one with our bookkeeping."""

    business: str
    state: str

    def of(self, role: Role) -> str:
        """The schema's name in this installation."""
        return self.business if role == "business" else self.state

    def fill(self, statement: str) -> str:
        """A statement with its placeholders filled in.

        TiDB reads comments that begin with /*T! and MariaDB those that begin with /*M!, so one text serves both.
        AUTO_RANDOM(5, 54) spreads new ids over the cluster, below 2^53, so that JavaScript and spreadsheets hold them exactly.

        >>> SchemaNames("m", "s").fill("SELECT 1 FROM {business}.a, {state}.b")
        'SELECT 1 FROM `m`.a, `s`.b'
        """
        return statement.format(
            business=backtick(self.business),
            state=backtick(self.state),
            random_id="/*T![auto_rand] AUTO_RANDOM(5, 54) */ /*M! AUTO_INCREMENT */",
            clustered="/*T![clustered_index] CLUSTERED */",
            charset="DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin",
        )

    def create_statements(self, missing: Iterable[str] | None = None) -> tuple[str, ...]:
        """CREATE DATABASE for both schemas, or for the `missing` of them."""
        wanted = (self.business, self.state) if missing is None else missing
        return tuple(
            f"CREATE DATABASE IF NOT EXISTS {backtick(name)} CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin" for name in wanted
        )


def schema_names(target: TargetSettings) -> SchemaNames:
    """The names in [target] schema and state_schema."""
    return SchemaNames(target.schema_name, target.state_schema)

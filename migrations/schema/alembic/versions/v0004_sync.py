"""The tables of sync: how far each direction is, what both sides last had in common, what they could not agree on."""

from __future__ import annotations

from typing import Final

from migrations.schema.execute import execute_all
from migrations.schema.names import Role

revision = "0004_sync"
down_revision = "0003_dedupe"
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE IF NOT EXISTS {state}.sync_position (
    name VARCHAR(200) NOT NULL,
    position BIGINT NOT NULL,
    detail VARCHAR(400),
    at DATETIME(6) NOT NULL,
    PRIMARY KEY (name) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.sync_control (
    name VARCHAR(32) NOT NULL,
    value VARCHAR(400) NOT NULL,
    at DATETIME(6) NOT NULL,
    by_whom VARCHAR(64) NOT NULL,
    PRIMARY KEY (name) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.sync_base (
    table_name VARCHAR(64) NOT NULL,
    row_key VARCHAR(200) NOT NULL,
    hashes VARBINARY(2000) NOT NULL,
    counters VARCHAR(1000),
    PRIMARY KEY (table_name, row_key) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.sync_conflict (
    conflict_id BIGINT NOT NULL AUTO_INCREMENT,
    direction VARCHAR(8) NOT NULL,
    table_name VARCHAR(64) NOT NULL,
    row_key VARCHAR(200) NOT NULL,
    column_names VARCHAR(1000) NOT NULL,
    rule VARCHAR(32) NOT NULL,
    winner VARCHAR(8) NOT NULL,
    source_image MEDIUMTEXT,
    target_image MEDIUMTEXT,
    found_at DATETIME(6) NOT NULL,
    settled_at DATETIME(6),
    settled_by VARCHAR(64),
    note VARCHAR(400),
    PRIMARY KEY (conflict_id) {clustered},
    KEY ix_row (table_name, row_key)
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.sync_dead_letter (
    letter_id BIGINT NOT NULL AUTO_INCREMENT,
    direction VARCHAR(8) NOT NULL,
    part VARCHAR(96) NOT NULL,
    row_key VARCHAR(200) NOT NULL,
    reason VARCHAR(40) NOT NULL,
    detail VARCHAR(400) NOT NULL,
    attempts BIGINT NOT NULL,
    first_at DATETIME(6) NOT NULL,
    last_at DATETIME(6) NOT NULL,
    settled_at DATETIME(6),
    PRIMARY KEY (letter_id) {clustered},
    UNIQUE KEY uq_row (direction, part, row_key)
) {charset}""",
)

# Rows born on the target must never get the number that the legacy side's IDENTITY, or our allocator (from 2**32 on), gives to
# another row. New numbers therefore begin at 2**47: AUTO_RANDOM(5, 54) counts in 48 bits below its five random ones.
OWN_NUMBERS: Final = tuple(
    f"ALTER TABLE {{business}}.{table} /*T! AUTO_RANDOM_BASE = {2**47} */ /*M! AUTO_INCREMENT = {2**47} */"
    for table in ("member", "points_ledger")
)

CREATES: Final[tuple[tuple[Role, str], ...]] = (
    ("state", "sync_position"),
    ("state", "sync_control"),
    ("state", "sync_base"),
    ("state", "sync_conflict"),
    ("state", "sync_dead_letter"),
)


def upgrade() -> None:
    """Create every table, and keep the numbers of both sides apart."""
    execute_all((*TABLES, *OWN_NUMBERS))


def downgrade() -> None:
    """Drop every table: positions, conflicts and dead letters are gone with them."""
    execute_all(f"DROP TABLE IF EXISTS {{state}}.{name}" for _, name in reversed(CREATES))

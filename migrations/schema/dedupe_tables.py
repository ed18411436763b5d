"""The tables of deduplication, which two revisions create: 0001_tables on a new target, 0003_dedupe on one that is older.

Deduplication comes before the load, the secondary indexes after it. A new target must therefore have these tables before it has
the indexes of 0002, and a target that stood at 0002 before there was deduplication must get them too.
"""

from __future__ import annotations

from typing import Final

from migrations.schema.names import Role

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS {state}.merge_event (
    event_id BIGINT NOT NULL AUTO_INCREMENT,
    run_id BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    member_id BIGINT NOT NULL,
    system VARCHAR(16) NOT NULL,
    source_id VARCHAR(64) NOT NULL,
    from_member_id BIGINT,
    reason VARCHAR(200) NOT NULL,
    weight DOUBLE,
    at DATETIME(6) NOT NULL,
    by_whom VARCHAR(64) NOT NULL,
    PRIMARY KEY (event_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.decision (
    decision_id BIGINT NOT NULL AUTO_INCREMENT,
    kind VARCHAR(16) NOT NULL,
    left_system VARCHAR(16) NOT NULL,
    left_id VARCHAR(64) NOT NULL,
    right_system VARCHAR(16) NOT NULL,
    right_id VARCHAR(64) NOT NULL,
    decided_at DATETIME(6) NOT NULL,
    decided_by VARCHAR(64) NOT NULL,
    note VARCHAR(400),
    withdrawn_at DATETIME(6),
    PRIMARY KEY (decision_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.golden_field (
    member_id BIGINT NOT NULL,
    column_name VARCHAR(64) NOT NULL,
    rule VARCHAR(32) NOT NULL,
    system VARCHAR(16) NOT NULL,
    source_id VARCHAR(64) NOT NULL,
    PRIMARY KEY (member_id, column_name) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.dedupe_run (
    run_id BIGINT NOT NULL AUTO_INCREMENT,
    started_at DATETIME(6) NOT NULL,
    finished_at DATETIME(6),
    status VARCHAR(16) NOT NULL,
    model_name VARCHAR(64) NOT NULL,
    model_version VARCHAR(32) NOT NULL,
    model_sha CHAR(64) NOT NULL,
    details MEDIUMTEXT,
    PRIMARY KEY (run_id) {clustered}
) {charset}""",
)

CREATES: Final[tuple[tuple[Role, str], ...]] = (
    ("state", "merge_event"),
    ("state", "decision"),
    ("state", "golden_field"),
    ("state", "dedupe_run"),
)

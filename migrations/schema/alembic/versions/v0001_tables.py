"""The tables of both schemas, with their keys and nothing more: secondary indexes come after the load."""

from __future__ import annotations

from migrations.schema import dedupe_tables
from migrations.schema.execute import execute_all
from migrations.schema.names import Role

revision = "0001_tables"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE IF NOT EXISTS {business}.store (
    store_code VARCHAR(8) NOT NULL,
    name VARCHAR(60) NOT NULL,
    city VARCHAR(30),
    address VARCHAR(200),
    opened_on DATE,
    area DECIMAL(9,2),
    latitude DOUBLE,
    longitude DOUBLE,
    is_open TINYINT(1) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (store_code) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.product (
    product_id BIGINT NOT NULL,
    name VARCHAR(120) NOT NULL,
    department VARCHAR(60),
    category VARCHAR(60),
    brand VARCHAR(40),
    package_size VARCHAR(30),
    price DECIMAL(19,4),
    is_private_label TINYINT(1) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (product_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.member (
    member_id BIGINT NOT NULL {random_id},
    name VARCHAR(40),
    name_key VARCHAR(40),
    gender CHAR(1),
    phone VARCHAR(20),
    email VARCHAR(120),
    id_card VARCHAR(18),
    union_id VARCHAR(32),
    birthday DATE,
    address VARCHAR(300),
    tier VARCHAR(8) NOT NULL,
    points BIGINT NOT NULL,
    balance DECIMAL(19,4) NOT NULL,
    store_code VARCHAR(8),
    registered_at DATETIME(6) NOT NULL,
    last_seen_at DATETIME(6),
    origin VARCHAR(8) NOT NULL,
    merged_into BIGINT,
    legacy_updated_at DATETIME(6),
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (member_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.member_source (
    source VARCHAR(16) NOT NULL,
    source_id VARCHAR(64) NOT NULL,
    member_id BIGINT NOT NULL,
    valid_from DATETIME(6) NOT NULL,
    valid_to DATETIME(6),
    linked_by VARCHAR(32) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (source, source_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.points_ledger (
    entry_id BIGINT NOT NULL {random_id},
    member_id BIGINT NOT NULL,
    delta BIGINT NOT NULL,
    reason VARCHAR(20) NOT NULL,
    ref_no VARCHAR(32),
    store_code VARCHAR(8),
    note VARCHAR(200),
    occurred_at DATETIME(6) NOT NULL,
    origin VARCHAR(8) NOT NULL,
    origin_id VARCHAR(40) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (entry_id) {clustered},
    UNIQUE KEY uq_origin (origin, origin_id)
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.tier_history (
    tier_history_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    from_tier VARCHAR(8),
    to_tier VARCHAR(8) NOT NULL,
    reason VARCHAR(50),
    changed_at DATETIME(6) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (tier_history_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.sale (
    sale_no VARCHAR(32) NOT NULL,
    channel VARCHAR(8) NOT NULL,
    store_code VARCHAR(8),
    member_id BIGINT,
    till_no INT,
    sold_at DATETIME(6) NOT NULL,
    sold_at_offset SMALLINT,
    status VARCHAR(12) NOT NULL,
    total DECIMAL(19,4) NOT NULL,
    discount DECIMAL(19,4) NOT NULL,
    freight DECIMAL(19,4) NOT NULL,
    paid DECIMAL(19,4) NOT NULL,
    pay_method VARCHAR(4),
    utm_source VARCHAR(60),
    utm_medium VARCHAR(60),
    utm_campaign VARCHAR(100),
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (sale_no) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.sale_line (
    sale_no VARCHAR(32) NOT NULL,
    line_no INT NOT NULL,
    product_id BIGINT NOT NULL,
    quantity DECIMAL(12,3) NOT NULL,
    unit_price DECIMAL(19,4) NOT NULL,
    amount DECIMAL(19,4) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (sale_no, line_no) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.campaign (
    campaign_id BIGINT NOT NULL,
    code VARCHAR(20) NOT NULL,
    name VARCHAR(100) NOT NULL,
    channel VARCHAR(20),
    budget DECIMAL(19,4),
    starts_at DATETIME(6) NOT NULL,
    ends_at DATETIME(6),
    description MEDIUMTEXT,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (campaign_id) {clustered},
    UNIQUE KEY uq_code (code)
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.coupon (
    coupon_id BIGINT NOT NULL,
    campaign_id BIGINT NOT NULL,
    code VARCHAR(32) NOT NULL,
    face_value DECIMAL(10,4) NOT NULL,
    min_spend DECIMAL(19,4) NOT NULL,
    valid_from DATETIME(6) NOT NULL,
    valid_to DATETIME(6),
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (coupon_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.coupon_event (
    coupon_event_id BIGINT NOT NULL,
    coupon_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    event VARCHAR(10) NOT NULL,
    sale_no VARCHAR(32),
    amount DECIMAL(19,4),
    occurred_at DATETIME(6) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (coupon_event_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.sign_in (
    sign_in_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    signed_at DATETIME(6) NOT NULL,
    channel VARCHAR(10) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (sign_in_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {business}.consent (
    consent_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    kind VARCHAR(20) NOT NULL,
    granted TINYINT(1) NOT NULL,
    source VARCHAR(20) NOT NULL,
    granted_at DATETIME(6) NOT NULL,
    granted_at_offset SMALLINT,
    evidence TEXT,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (consent_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.load_run (
    run_id BIGINT NOT NULL AUTO_INCREMENT,
    started_at DATETIME(6) NOT NULL,
    finished_at DATETIME(6),
    command VARCHAR(400) NOT NULL,
    status VARCHAR(16) NOT NULL,
    details MEDIUMTEXT,
    PRIMARY KEY (run_id) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.load_checkpoint (
    mapping_part VARCHAR(96) NOT NULL,
    chunk_sha CHAR(64) NOT NULL,
    batch_no INT NOT NULL,
    rows_loaded BIGINT NOT NULL,
    rows_rejected BIGINT NOT NULL,
    run_id BIGINT NOT NULL,
    committed_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (mapping_part, chunk_sha, batch_no) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.id_allocator (
    name VARCHAR(32) NOT NULL,
    next_id BIGINT NOT NULL,
    PRIMARY KEY (name) {clustered}
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.reject (
    reject_id BIGINT NOT NULL AUTO_INCREMENT,
    run_id BIGINT NOT NULL,
    mapping_part VARCHAR(96) NOT NULL,
    source_table VARCHAR(200) NOT NULL,
    source_key VARCHAR(400) NOT NULL,
    target_table VARCHAR(64) NOT NULL,
    column_name VARCHAR(64) NOT NULL,
    reason VARCHAR(40) NOT NULL,
    masked_value VARCHAR(200),
    detail VARCHAR(400),
    rejected_at DATETIME(6) NOT NULL,
    settled_at DATETIME(6),
    PRIMARY KEY (reject_id) {clustered},
    UNIQUE KEY uq_reason (mapping_part, source_key, column_name, reason)
) {charset}""",
    """CREATE TABLE IF NOT EXISTS {state}.import_file (
    file_sha CHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    mapping_part VARCHAR(96) NOT NULL,
    rows_total BIGINT NOT NULL,
    rows_loaded BIGINT NOT NULL,
    rows_rejected BIGINT NOT NULL,
    imported_at DATETIME(6) NOT NULL,
    PRIMARY KEY (file_sha) {clustered}
) {charset}""",
)

CREATES: tuple[tuple[Role, str], ...] = (
    ("business", "store"),
    ("business", "product"),
    ("business", "member"),
    ("business", "member_source"),
    ("business", "points_ledger"),
    ("business", "tier_history"),
    ("business", "sale"),
    ("business", "sale_line"),
    ("business", "campaign"),
    ("business", "coupon"),
    ("business", "coupon_event"),
    ("business", "sign_in"),
    ("business", "consent"),
    ("state", "load_run"),
    ("state", "load_checkpoint"),
    ("state", "id_allocator"),
    ("state", "reject"),
    ("state", "import_file"),
    *dedupe_tables.CREATES,
)


def upgrade() -> None:
    """Create every table. Deduplication comes before the load, so its tables are made here; see 0003_dedupe."""
    execute_all((*TABLES, *dedupe_tables.TABLES))


def downgrade() -> None:
    """Drop every table. The schemas themselves stay: other tables may live there."""
    execute_all(f"DROP TABLE IF EXISTS {{{role}}}.{table}" for role, table in reversed(CREATES))

"""What the tables look like at the newest revision: the list that status, drift and tests compare the live target with.

The revisions say how to get there and never change once released; this page is the sum of them. A test builds both and compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from migrations.schema.names import Role

SYNC_COLUMNS: Final = """
    updated_at timestamp(6) not null default current_timestamp(6) on update current_timestamp(6)
    synced_at timestamp(6)"""


@dataclass(frozen=True)
class ColumnModel:
    """A column: its type as the catalog writes it without display width, and its default in lower case ("" for none)."""

    name: str
    type_name: str
    nullable: bool
    default: str = ""


@dataclass(frozen=True)
class TableModel:
    """A table of one of the two schemas. `unique`: the columns of each unique key beside the primary `key`."""

    role: Role
    name: str
    columns: tuple[ColumnModel, ...]
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()


def table(role: Role, name: str, *, key: str, columns: str, unique: tuple[str, ...] = (), sync: bool) -> TableModel:
    """A table from its description, a column a line; `sync` adds the pair of columns that change capture lives on."""
    lines = (columns + (SYNC_COLUMNS if sync else "")).strip().splitlines()
    return TableModel(
        role=role,
        name=name,
        columns=tuple(column(line.strip()) for line in lines),
        key=split_names(key),
        unique=tuple(split_names(names) for names in unique),
    )


def column(line: str) -> ColumnModel:
    """A column from its line.

    >>> column("points bigint not null")
    ColumnModel(name='points', type_name='bigint', nullable=False, default='')
    """
    name, _, rest = line.partition(" ")
    rest, _, default = rest.partition(" default ")
    return ColumnModel(name, rest.removesuffix(" not null"), not rest.endswith(" not null"), default)


def split_names(text: str) -> tuple[str, ...]:
    """Names from a list with commas."""
    return tuple(name.strip() for name in text.split(","))


TABLES: Final = (
    table(
        "business",
        "store",
        key="store_code",
        unique=(),
        sync=True,
        columns="""
        store_code varchar(8) not null
        name varchar(60) not null
        city varchar(30)
        address varchar(200)
        opened_on date
        area decimal(9,2)
        latitude double
        longitude double
        is_open tinyint not null""",
    ),
    table(
        "business",
        "product",
        key="product_id",
        unique=(),
        sync=True,
        columns="""
        product_id bigint not null
        name varchar(120) not null
        department varchar(60)
        category varchar(60)
        brand varchar(40)
        package_size varchar(30)
        price decimal(19,4)
        is_private_label tinyint not null""",
    ),
    table(
        "business",
        "member",
        key="member_id",
        unique=(),
        sync=True,
        columns="""
        member_id bigint not null
        name varchar(40)
        name_key varchar(40)
        gender char(1)
        phone varchar(20)
        email varchar(120)
        id_card varchar(18)
        union_id varchar(32)
        birthday date
        address varchar(300)
        tier varchar(8) not null
        points bigint not null
        balance decimal(19,4) not null
        store_code varchar(8)
        registered_at datetime(6) not null
        last_seen_at datetime(6)
        origin varchar(8) not null
        merged_into bigint
        legacy_updated_at datetime(6)""",
    ),
    table(
        "business",
        "member_source",
        key="source, source_id",
        unique=(),
        sync=True,
        columns="""
        source varchar(16) not null
        source_id varchar(64) not null
        member_id bigint not null
        valid_from datetime(6) not null
        valid_to datetime(6)
        linked_by varchar(32) not null""",
    ),
    table(
        "business",
        "points_ledger",
        key="entry_id",
        unique=("origin, origin_id",),
        sync=True,
        columns="""
        entry_id bigint not null
        member_id bigint not null
        delta bigint not null
        reason varchar(20) not null
        ref_no varchar(32)
        store_code varchar(8)
        note varchar(200)
        occurred_at datetime(6) not null
        origin varchar(8) not null
        origin_id varchar(40) not null""",
    ),
    table(
        "business",
        "tier_history",
        key="tier_history_id",
        unique=(),
        sync=True,
        columns="""
        tier_history_id bigint not null
        member_id bigint not null
        from_tier varchar(8)
        to_tier varchar(8) not null
        reason varchar(50)
        changed_at datetime(6) not null""",
    ),
    table(
        "business",
        "sale",
        key="sale_no",
        unique=(),
        sync=True,
        columns="""
        sale_no varchar(32) not null
        channel varchar(8) not null
        store_code varchar(8)
        member_id bigint
        till_no int
        sold_at datetime(6) not null
        sold_at_offset smallint
        status varchar(12) not null
        total decimal(19,4) not null
        discount decimal(19,4) not null
        freight decimal(19,4) not null
        paid decimal(19,4) not null
        pay_method varchar(4)
        utm_source varchar(60)
        utm_medium varchar(60)
        utm_campaign varchar(100)""",
    ),
    table(
        "business",
        "sale_line",
        key="sale_no, line_no",
        unique=(),
        sync=True,
        columns="""
        sale_no varchar(32) not null
        line_no int not null
        product_id bigint not null
        quantity decimal(12,3) not null
        unit_price decimal(19,4) not null
        amount decimal(19,4) not null""",
    ),
    table(
        "business",
        "campaign",
        key="campaign_id",
        unique=("code",),
        sync=True,
        columns="""
        campaign_id bigint not null
        code varchar(20) not null
        name varchar(100) not null
        channel varchar(20)
        budget decimal(19,4)
        starts_at datetime(6) not null
        ends_at datetime(6)
        description mediumtext""",
    ),
    table(
        "business",
        "coupon",
        key="coupon_id",
        unique=(),
        sync=True,
        columns="""
        coupon_id bigint not null
        campaign_id bigint not null
        code varchar(32) not null
        face_value decimal(10,4) not null
        min_spend decimal(19,4) not null
        valid_from datetime(6) not null
        valid_to datetime(6)""",
    ),
    table(
        "business",
        "coupon_event",
        key="coupon_event_id",
        unique=(),
        sync=True,
        columns="""
        coupon_event_id bigint not null
        coupon_id bigint not null
        member_id bigint not null
        event varchar(10) not null
        sale_no varchar(32)
        amount decimal(19,4)
        occurred_at datetime(6) not null""",
    ),
    table(
        "business",
        "sign_in",
        key="sign_in_id",
        unique=(),
        sync=True,
        columns="""
        sign_in_id bigint not null
        member_id bigint not null
        signed_at datetime(6) not null
        channel varchar(10) not null""",
    ),
    table(
        "business",
        "consent",
        key="consent_id",
        unique=(),
        sync=True,
        columns="""
        consent_id bigint not null
        member_id bigint not null
        kind varchar(20) not null
        granted tinyint not null
        source varchar(20) not null
        granted_at datetime(6) not null
        granted_at_offset smallint
        evidence text""",
    ),
    table(
        "state",
        "load_run",
        key="run_id",
        unique=(),
        sync=False,
        columns="""
        run_id bigint not null
        started_at datetime(6) not null
        finished_at datetime(6)
        command varchar(400) not null
        status varchar(16) not null
        details mediumtext""",
    ),
    table(
        "state",
        "load_checkpoint",
        key="mapping_part, chunk_sha, batch_no",
        unique=(),
        sync=False,
        columns="""
        mapping_part varchar(96) not null
        chunk_sha char(64) not null
        batch_no int not null
        rows_loaded bigint not null
        rows_rejected bigint not null
        run_id bigint not null
        committed_at datetime(6) not null default current_timestamp(6)""",
    ),
    table(
        "state",
        "id_allocator",
        key="name",
        unique=(),
        sync=False,
        columns="""
        name varchar(32) not null
        next_id bigint not null""",
    ),
    table(
        "state",
        "reject",
        key="reject_id",
        unique=("mapping_part, source_key, column_name, reason",),
        sync=False,
        columns="""
        reject_id bigint not null
        run_id bigint not null
        mapping_part varchar(96) not null
        source_table varchar(200) not null
        source_key varchar(400) not null
        target_table varchar(64) not null
        column_name varchar(64) not null
        reason varchar(40) not null
        masked_value varchar(200)
        detail varchar(400)
        rejected_at datetime(6) not null
        settled_at datetime(6)""",
    ),
    table(
        "state",
        "import_file",
        key="file_sha",
        unique=(),
        sync=False,
        columns="""
        file_sha char(64) not null
        name varchar(255) not null
        mapping_part varchar(96) not null
        rows_total bigint not null
        rows_loaded bigint not null
        rows_rejected bigint not null
        imported_at datetime(6) not null""",
    ),
    table(
        "state",
        "merge_event",
        key="event_id",
        unique=(),
        sync=False,
        columns="""
        event_id bigint not null
        run_id bigint not null
        kind varchar(16) not null
        member_id bigint not null
        system varchar(16) not null
        source_id varchar(64) not null
        from_member_id bigint
        reason varchar(200) not null
        weight double
        at datetime(6) not null
        by_whom varchar(64) not null""",
    ),
    table(
        "state",
        "decision",
        key="decision_id",
        unique=(),
        sync=False,
        columns="""
        decision_id bigint not null
        kind varchar(16) not null
        left_system varchar(16) not null
        left_id varchar(64) not null
        right_system varchar(16) not null
        right_id varchar(64) not null
        decided_at datetime(6) not null
        decided_by varchar(64) not null
        note varchar(400)
        withdrawn_at datetime(6)""",
    ),
    table(
        "state",
        "golden_field",
        key="member_id, column_name",
        unique=(),
        sync=False,
        columns="""
        member_id bigint not null
        column_name varchar(64) not null
        rule varchar(32) not null
        system varchar(16) not null
        source_id varchar(64) not null""",
    ),
    table(
        "state",
        "dedupe_run",
        key="run_id",
        unique=(),
        sync=False,
        columns="""
        run_id bigint not null
        started_at datetime(6) not null
        finished_at datetime(6)
        status varchar(16) not null
        model_name varchar(64) not null
        model_version varchar(32) not null
        model_sha char(64) not null
        details mediumtext""",
    ),
)

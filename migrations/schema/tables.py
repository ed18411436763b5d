"""What the tables look like at the newest revision: the list that status, drift and tests compare the live target with.

The revisions say how to get there and never change once released; this page is the sum of them. A test builds both and compares.
"""

from __future__ import annotations

from typing import Final

from migrations.schema.model import table
from migrations.schema.state_tables import STATE_TABLES

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
    *STATE_TABLES,
)

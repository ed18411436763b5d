"""Our own tables at the newest revision: runs, checkpoints, quarantine, ids, what deduplication decided, and how far sync is."""

from __future__ import annotations

from typing import Final

from migrations.schema.model import table

STATE_TABLES: Final = (
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
    table(
        "state",
        "sync_position",
        key="name",
        unique=(),
        sync=False,
        columns="""
        name varchar(200) not null
        position bigint not null
        detail varchar(400)
        at datetime(6) not null""",
    ),
    table(
        "state",
        "sync_control",
        key="name",
        unique=(),
        sync=False,
        columns="""
        name varchar(32) not null
        value varchar(400) not null
        at datetime(6) not null
        by_whom varchar(64) not null""",
    ),
    table(
        "state",
        "sync_base",
        key="table_name, row_key",
        unique=(),
        sync=False,
        columns="""
        table_name varchar(64) not null
        row_key varchar(200) not null
        hashes varbinary(2000) not null
        counters varchar(1000)""",
    ),
    table(
        "state",
        "sync_conflict",
        key="conflict_id",
        unique=(),
        sync=False,
        columns="""
        conflict_id bigint not null
        direction varchar(8) not null
        table_name varchar(64) not null
        row_key varchar(200) not null
        column_names varchar(1000) not null
        rule varchar(32) not null
        winner varchar(8) not null
        source_image mediumtext
        target_image mediumtext
        found_at datetime(6) not null
        settled_at datetime(6)
        settled_by varchar(64)
        note varchar(400)""",
    ),
    table(
        "state",
        "sync_dead_letter",
        key="letter_id",
        unique=("direction, part, row_key",),
        sync=False,
        columns="""
        letter_id bigint not null
        direction varchar(8) not null
        part varchar(96) not null
        row_key varchar(200) not null
        reason varchar(40) not null
        detail varchar(400) not null
        attempts bigint not null
        first_at datetime(6) not null
        last_at datetime(6) not null
        settled_at datetime(6)""",
    ),
)

"""The SQL that a DBA gets, as text."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from etl.errors import UsageError
from etl.settings import TargetSettings
from migrations.schema.commands import schema_sql
from migrations.schema.dedupe_tables import TABLES as DEDUPE_TABLES
from migrations.schema.tables import TABLES

TARGET = TargetSettings(url=SecretStr("mysql://nobody:hush@127.0.0.1:1"), schema="shop", state_schema="shop_state")


def test_sign_in_is_created_as_the_design_says() -> None:
    assert """CREATE TABLE IF NOT EXISTS `shop`.sign_in (
    sign_in_id BIGINT NOT NULL,
    member_id BIGINT NOT NULL,
    signed_at DATETIME(6) NOT NULL,
    channel VARCHAR(10) NOT NULL,
    updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    synced_at TIMESTAMP(6) NULL,
    PRIMARY KEY (sign_in_id) /*T![clustered_index] CLUSTERED */
) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;""" in schema_sql(TARGET)


def test_member_ids_are_random_on_tidb() -> None:
    assert "member_id BIGINT NOT NULL /*T![auto_rand] AUTO_RANDOM(5, 54) */ /*M! AUTO_INCREMENT */," in schema_sql(TARGET)


def test_everything_from_nothing() -> None:
    sql = schema_sql(TARGET, "base:head")

    assert sql.startswith("CREATE DATABASE IF NOT EXISTS `shop` CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin;")
    assert "CREATE DATABASE IF NOT EXISTS `shop_state`" in sql
    assert "CREATE TABLE IF NOT EXISTS shop_state.alembic_version" in sql
    assert sql.count("CREATE TABLE IF NOT EXISTS `shop`.") + sql.count("CREATE TABLE IF NOT EXISTS `shop_state`.") == len(
        TABLES
    ) + len(DEDUPE_TABLES)  # which two revisions create, where they are missing
    assert "membership" not in sql
    assert "hush" not in sql


def test_indexes_are_in_a_later_revision_than_the_tables() -> None:
    assert "INDEX" not in schema_sql(TARGET, "base:tables")
    assert "ALTER TABLE `shop`.sign_in ADD INDEX IF NOT EXISTS ix_sync (updated_at, synced_at)" in schema_sql(
        TARGET, "tables:indexes"
    )


def test_every_table_that_both_sides_change_is_indexed_for_it() -> None:
    sql = schema_sql(TARGET, "tables:indexes")
    pairs = [table.name for table in TABLES if any(column.name == "synced_at" for column in table.columns)]

    assert len(pairs) == 13
    assert all(f"ALTER TABLE `shop`.{name} ADD INDEX IF NOT EXISTS ix_sync (updated_at, synced_at)" in sql for name in pairs)


def test_the_way_back_drops_tables_and_no_schema() -> None:
    sql = schema_sql(TARGET, "head:base")

    assert "DROP TABLE IF EXISTS `shop`.member;" in sql
    assert "DROP DATABASE" not in sql


@pytest.mark.parametrize("span", ["base", "base:9999", "no:head"])
def test_an_unknown_revision_is_a_usage_error(span: str) -> None:
    with pytest.raises(UsageError):
        schema_sql(TARGET, span)

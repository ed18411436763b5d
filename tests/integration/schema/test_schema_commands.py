"""schema up, down, status and sql on a live target."""

from __future__ import annotations

import pytest

from etl.errors import RefusedError
from etl.settings import TargetSettings
from etl.target.connect import connect_bulk, open_target
from migrations.schema.commands import indexes_up, schema_down, schema_plan, schema_sql, schema_status, schema_up
from migrations.schema.tables import TABLES


@pytest.fixture
def created(fresh_target: TargetSettings) -> TargetSettings:
    """A target with all tables and no secondary index."""
    schema_up(fresh_target, "tables")
    return fresh_target


def add_sign_in(target: TargetSettings) -> None:
    with connect_bulk(target) as connection:
        connection.execute("INSERT INTO sign_in (sign_in_id, member_id, signed_at, channel) VALUES (1, 1, NOW(6), 'app')")


def test_the_model_says_what_the_revisions_build(fresh_target: TargetSettings) -> None:
    schema_up(fresh_target)
    status = schema_status(fresh_target)

    assert status.drift == ()
    assert status.pending == ()
    assert status.revision == status.head == "0004_sync"
    assert [table.rows for table in status.tables] == [0] * len(TABLES)


def test_nothing_is_there_before(fresh_target: TargetSettings) -> None:
    status = schema_status(fresh_target)

    assert status.revision is None
    assert status.pending == ("0001_tables", "0002_indexes", "0003_dedupe", "0004_sync")
    assert {table.rows for table in status.tables} == {None}


def test_a_plan_changes_nothing(fresh_target: TargetSettings) -> None:
    plan = schema_plan(fresh_target)

    assert not plan.executed
    assert plan.revisions == ("0001_tables", "0002_indexes", "0003_dedupe", "0004_sync")
    assert "CREATE TABLE" in plan.sql
    assert schema_status(fresh_target).revision is None


def test_tables_first_and_indexes_later(created: TargetSettings) -> None:
    with connect_bulk(created) as connection:
        query = (
            "SELECT COUNT(DISTINCT index_name) FROM information_schema.statistics"
            " WHERE table_schema = %s AND table_name = 'member'"
        )
        assert connection.scalar(query, (created.schema_name,)) == 1
        assert indexes_up(created).revisions == ("0002_indexes", "0003_dedupe", "0004_sync")
        assert connection.scalar(query, (created.schema_name,)) == 9


def test_up_again_does_nothing(created: TargetSettings) -> None:
    again = schema_up(created, "tables")

    assert (again.revisions, again.before, again.after) == ((), "0001_tables", "0001_tables")


def test_up_to_an_earlier_revision_does_not_go_back(fresh_target: TargetSettings) -> None:
    schema_up(fresh_target)

    assert schema_up(fresh_target, "tables").after == "0004_sync"
    assert schema_status(fresh_target).revision == "0004_sync"


def test_an_up_that_was_cut_short_is_finished(fresh_target: TargetSettings) -> None:
    """DDL is not transactional: half the tables can be there without the revision saying so."""
    schema_up(fresh_target)
    with connect_bulk(fresh_target) as connection:
        connection.execute("DROP TABLE sale_line, coupon")
        connection.execute("ALTER TABLE member DROP INDEX ix_phone")
        connection.execute(f"DELETE FROM {connection.quoted('alembic_version', fresh_target.state_schema)}")

    schema_up(fresh_target)

    assert schema_status(fresh_target).drift == ()


def test_down_is_a_dry_run_that_counts_rows(created: TargetSettings) -> None:
    add_sign_in(created)

    plan = schema_down(created, "base")

    assert not plan.executed
    assert plan.rows_lost == 1
    assert {(table.table, table.rows) for table in plan.dropped_tables} >= {("sign_in", 1), ("member", 0), ("reject", 0)}
    assert schema_status(created).revision == "0001_tables"


def test_down_refuses_to_drop_a_table_with_rows(created: TargetSettings) -> None:
    add_sign_in(created)

    with pytest.raises(RefusedError) as caught:
        schema_down(created, "base", execute=True)

    assert f"{created.schema_name}.sign_in (1)" in caught.value.message
    assert "--i-know" in caught.value.remedy
    assert schema_status(created).revision == "0001_tables"


def test_down_and_up_again(created: TargetSettings) -> None:
    add_sign_in(created)

    assert schema_down(created, "base", execute=True, i_know=True).executed
    assert {table.rows for table in schema_status(created).tables} == {None}
    schema_up(created)
    assert schema_status(created).drift == ()


def test_dropping_indexes_needs_no_knowledge(fresh_target: TargetSettings) -> None:
    schema_up(fresh_target)
    add_sign_in(fresh_target)

    change = schema_down(fresh_target, "tables", execute=True)

    assert change.after == "0001_tables"
    assert not change.rows_lost
    assert schema_status(fresh_target).drift == ()


def test_tables_of_others_are_left_alone(created: TargetSettings) -> None:
    with connect_bulk(created) as connection:
        connection.execute("CREATE TABLE theirs (a INT)")
        schema_down(created, "base", execute=True)

        assert connection.query("SELECT a FROM theirs") == []


def test_what_somebody_changed_by_hand_is_found(fresh_target: TargetSettings) -> None:
    schema_up(fresh_target)
    with connect_bulk(fresh_target) as connection:
        connection.execute("ALTER TABLE member MODIFY phone VARCHAR(30), ADD COLUMN nickname VARCHAR(20)")
        connection.execute("ALTER TABLE coupon MODIFY face_value DECIMAL(12,4) NOT NULL")
        connection.execute("ALTER TABLE sale DROP COLUMN till_no")
        connection.execute("ALTER TABLE store MODIFY updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)")
        connection.execute("ALTER TABLE points_ledger DROP INDEX uq_origin")
        connection.execute("ALTER TABLE sign_in DROP INDEX ix_member")
        connection.execute("DROP TABLE consent")

    found = {(drift.table.split(".")[1], drift.kind, drift.name, drift.found) for drift in schema_status(fresh_target).drift}

    assert found == {
        ("member", "column", "phone", "varchar(30)"),
        ("member", "column", "nickname", "varchar(20)"),
        ("coupon", "column", "face_value", "decimal(12,4) not null"),
        ("sale", "column", "till_no", ""),
        ("store", "column", "updated_at", "timestamp(6) not null default current_timestamp(6)"),
        ("points_ledger", "key", "unique", ""),
        ("sign_in", "index", "ix_member", ""),
        ("consent", "table", "consent", ""),
    }


def test_the_sql_for_a_dba_builds_the_same(fresh_target: TargetSettings) -> None:
    """Applied by hand, statement by statement, then taken back and applied again."""
    for span in ("base:head", "head:base", "base:tables", "tables:indexes", "indexes:head"):
        with open_target(fresh_target) as engine, engine.connect() as connection:
            for statement in schema_sql(fresh_target, span).split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement)
            connection.commit()

    status = schema_status(fresh_target)
    assert (status.revision, status.drift) == ("0004_sync", ())


def test_two_at_once_do_not_meet(created: TargetSettings) -> None:
    with connect_bulk(created) as other:
        other.query(f"SELECT GET_LOCK('membershift.schema.{created.state_schema}', 1)")
        with pytest.raises(RefusedError):
            schema_up(created)
        other.query(f"SELECT RELEASE_LOCK('membershift.schema.{created.state_schema}')")


def test_schemas_that_a_dba_created_are_used(fresh_target: TargetSettings) -> None:
    with connect_bulk(fresh_target, "") as connection:
        for schema in (fresh_target.schema_name, fresh_target.state_schema):
            connection.execute(f"CREATE DATABASE {schema}")

    schema_up(fresh_target)

    assert schema_status(fresh_target).drift == ()


@pytest.mark.tidb
def test_new_members_get_ids_below_two_to_the_53(created: TargetSettings) -> None:
    insert = "INSERT INTO member (tier, points, balance, registered_at, origin) VALUES ('BRONZE', 0, 0, NOW(6), 'tidb')"
    with connect_bulk(created) as connection:
        connection.execute(insert)
        connection.execute(
            "INSERT INTO member (member_id, tier, points, balance, registered_at, origin) VALUES (7, 'GOLD', 0, 0, NOW(6), 'crm')"
        )
        ids = {row[0] for row in connection.query("SELECT member_id FROM member")}

    assert len(ids) == 2
    assert all(0 < number < 2**53 for number in ids)


def test_new_rows_never_get_a_number_of_the_legacy_side(fresh_target: TargetSettings) -> None:
    """Of 32 numbers that AUTO_RANDOM gives, one is the greatest so far plus one: what the legacy side gives to its next row."""
    schema_up(fresh_target)
    columns = "tier, points, balance, registered_at, origin"
    values = "'BRONZE', 0, 0, NOW(6), 'tidb'"
    with connect_bulk(fresh_target) as connection:
        connection.execute(f"INSERT INTO member (member_id, {columns}) VALUES (4294967296, {values})")
        for _ in range(3):
            connection.execute(f"INSERT INTO member ({columns}) VALUES " + ", ".join([f"({values})"] * 30))
        born = [row[0] for row in connection.query("SELECT member_id FROM member WHERE member_id <> 4294967296")]

    assert len(born) == 90
    assert all(number % 2**48 >= 2**47 and number < 2**53 for number in born)

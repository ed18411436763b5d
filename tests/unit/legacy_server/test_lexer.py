"""Batches cut into statements, which T-SQL writes with or without semicolons."""

from __future__ import annotations

import pytest

from fixtures.legacy_server.tsql.lexer import split, tokenize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1 SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SET ARITHABORT ON SET NOCOUNT ON", ["SET ARITHABORT ON", "SET NOCOUNT ON"]),
        ("INSERT INTO t SELECT a FROM u SELECT 1", ["INSERT INTO t SELECT a FROM u", "SELECT 1"]),
        ("INSERT INTO t (a) VALUES (1) SELECT SCOPE_IDENTITY()", ["INSERT INTO t (a) VALUES (1)", "SELECT SCOPE_IDENTITY()"]),
        (
            "WITH c AS (SELECT 1 AS a) SELECT * FROM c UPDATE t SET a = 1",
            ["WITH c AS (SELECT 1 AS a) SELECT * FROM c", "UPDATE t SET a = 1"],
        ),
        ("WITH c AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM c", ["WITH c AS (SELECT 1 AS a) INSERT INTO t SELECT a FROM c"]),
        (
            "UPDATE t SET a = CASE WHEN b = 1 THEN 2 END WHERE c = 3 DELETE FROM t",
            ["UPDATE t SET a = CASE WHEN b = 1 THEN 2 END WHERE c = 3", "DELETE FROM t"],
        ),
        ("SELECT 1 UNION ALL SELECT 2", ["SELECT 1 UNION ALL SELECT 2"]),
        ("SELECT * FROM t WITH (NOLOCK) WHERE a IN (SELECT 1)", ["SELECT * FROM t WITH (NOLOCK) WHERE a IN (SELECT 1)"]),
        ("IF @@TRANCOUNT = 0 BEGIN TRANSACTION", ["IF @@TRANCOUNT = 0", "BEGIN TRANSACTION"]),
        ("IF 1 = 1 BEGIN SELECT 1 END ELSE SELECT 2", ["IF 1 = 1", "BEGIN", "SELECT 1", "END", "ELSE", "SELECT 2"]),
        ("ALTER DATABASE d SET RECOVERY SIMPLE", ["ALTER DATABASE d SET RECOVERY SIMPLE"]),
        (
            "ALTER TABLE t DROP COLUMN a ALTER TABLE t ALTER COLUMN b int",
            ["ALTER TABLE t DROP COLUMN a", "ALTER TABLE t ALTER COLUMN b int"],
        ),
        (
            "CREATE TABLE t (a int REFERENCES u (a) ON DELETE NO ACTION) SELECT 1",
            ["CREATE TABLE t (a int REFERENCES u (a) ON DELETE NO ACTION)", "SELECT 1"],
        ),
        ("WITH CHANGE_TRACKING_CONTEXT (0x01) DELETE FROM t", ["WITH CHANGE_TRACKING_CONTEXT (0x01) DELETE FROM t"]),
        ("SELECT [end], a AS [select] FROM [if]", ["SELECT [end], a AS [select] FROM [if]"]),
        ("DECLARE @a int = 1 SET @a = 2 -- done", ["DECLARE @a int = 1", "SET @a = 2"]),
    ],
)
def test_statements(text: str, expected: list[str]) -> None:
    found = [text[statement[0].start : statement[-1].end + 1] for statement in split(tokenize(text))]
    assert found == expected

"""What is refused before Spark is started, and how conditions are said there. Needs neither PySpark nor Java."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import SecretStr

from etl.dedupe.engine import choose_engine, engine_named
from etl.dedupe.read_model import open_model
from etl.dedupe.result import DedupeRequest
from etl.dedupe.spark_session import require_spark
from etl.dedupe.spark_sql import condition_for_spark
from etl.errors import ConfigurationError, UsageError
from etl.settings import DedupeSettings, Settings, SourceSettings, SparkSettings, TargetSettings
from reports.documents.config import masked_settings

SETTINGS = Settings(
    source=SourceSettings(url=SecretStr("mssql://sa:x@127.0.0.1:1433"), databases=("crm",)),
    target=TargetSettings(url=SecretStr("mysql://root@127.0.0.1:4000")),
    dedupe=DedupeSettings(
        engine="spark", spark=SparkSettings(master="spark://host:7077", conf={"spark.hadoop.key": SecretStr("hidden")})
    ),
)


def test_arrivals_are_not_linked_on_spark() -> None:
    with pytest.raises(UsageError, match="--since does not run on Spark") as caught:
        choose_engine(SETTINGS, DedupeRequest(since="last"))
    assert "--engine duckdb" in caught.value.remedy
    assert choose_engine(SETTINGS, DedupeRequest(since="last", engine="duckdb")) == "duckdb"


def test_an_engine_that_is_none_is_told_with_those_there_are() -> None:
    assert engine_named(None) is None
    with pytest.raises(UsageError, match="no engine 'flink'") as caught:
        engine_named("flink")
    assert "duckdb, spark" in caught.value.remedy


def test_what_is_missing_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        require_spark()
    if find_spec("pyspark") is None:
        assert "membershift[spark]" in caught.value.remedy
    else:
        assert "Java 17 or newer" in caught.value.message
        assert "apt-get install" in caught.value.remedy


def test_java_that_is_too_old_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("pyspark") is None:
        pytest.skip("PySpark is not installed: it is asked for before Java.")
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o700)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="Java 17 or newer, and this one is 11"):
        require_spark()


@pytest.mark.parametrize("name", ["chinese_members", "english_people"])
def test_every_condition_of_our_sets_can_be_said_on_spark(name: str) -> None:
    comparison_set = open_model(name)
    levels = [level.sql for comparison in comparison_set.comparisons for level in comparison.levels if level.sql != "otherwise"]
    assert all(
        condition_for_spark(sql, "It") for sql in [*levels, *(rule.where for rule in comparison_set.blocking if rule.where)]
    )


@pytest.mark.parametrize(
    "sql",
    [
        "soundex(a_l) = soundex(a_r)",
        "a_l / b_l > 2",
        "substr(a_l, 0, 3) = a_r",
        "date_diff('month', a_l, a_r) < 2",
        "a_l::int = 3",
        "lower(a_l) = a_r",
        "a_l like 'x%'",
    ],
)
def test_what_the_engines_may_answer_differently_is_refused_by_name(sql: str) -> None:
    with pytest.raises(ConfigurationError, match=r"'close' uses .*, and it is not known") as caught:
        condition_for_spark(sql, "The level 'close'")
    assert "--engine duckdb" in caught.value.remedy


def test_settings_of_spark_are_shown_without_their_values() -> None:
    shown = str(masked_settings(SETTINGS))
    assert "spark://host:7077" in shown
    assert "hidden" not in shown
    assert "spark.hadoop.key" in shown

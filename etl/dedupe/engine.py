"""Which engine compares the pairs of a run: DuckDB on this machine, or Spark."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from etl.dedupe.model import EdgeSet
from etl.dedupe.plan import limits_of
from etl.dedupe.predict import link_records
from etl.dedupe.result import DedupeRequest
from etl.dedupe.trained_model import TrainedModel
from etl.errors import UsageError
from etl.settings import Engine, Settings


def engine_named(name: str | None) -> Engine | None:
    """An engine by the name that was typed. Raises UsageError."""
    if name is None or name in get_args(Engine):
        return cast("Engine | None", name)
    raise UsageError(f"There is no engine {name!r}.", f"There are: {', '.join(get_args(Engine))}.")


def choose_engine(settings: Settings, request: DedupeRequest) -> Engine:
    """The engine that the request names, or the configured one, once it is known to be there.

    Raises UsageError for `since` on Spark, ConfigurationError when PySpark or Java is missing.
    """
    engine = request.engine or settings.dedupe.engine
    if engine == "spark":
        if request.since is not None:
            raise UsageError(
                "--since does not run on Spark: a few arrivals are linked on this machine before Spark has started.",
                "Add --engine duckdb: weights are the same on both, so it may follow a run on Spark.",
            )
        from etl.dedupe.spark_session import require_spark

        require_spark()
    return engine


def link_all(settings: Settings, records: Path, model: TrainedModel, engine: Engine) -> EdgeSet:
    """Weigh all pairs on the engine: edges.parquet in the folder of deduplication."""
    if engine == "duckdb":
        return link_records(records, model, settings.dedupe_dir, limits_of(settings))
    from etl.dedupe.spark import link_on_spark

    return link_on_spark(records, model, settings.dedupe_dir, limits_of(settings), settings.dedupe.spark)

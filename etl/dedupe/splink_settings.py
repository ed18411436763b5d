"""A trained model as Splink's settings, in builders that know no dialect: the same model runs on DuckDB and on Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl.dedupe.model import BlockingRule, Comparison
from etl.dedupe.trained_model import TrainedModel
from etl.dedupe.vectors import OTHERWISE

if TYPE_CHECKING:
    from splink import SettingsCreator

RECORD_ID = "record"


def splink_settings(model: TrainedModel, dialect: str = "duckdb") -> SettingsCreator:
    """The model for `splink.Linker`; `dialect` is that of the model's conditions."""
    from splink import SettingsCreator

    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name=RECORD_ID,
        probability_two_random_records_match=model.prior,
        comparisons=[_comparison(model, comparison, dialect) for comparison in model.comparison_set.comparisons],
        blocking_rules_to_generate_predictions=[_rule(rule, dialect) for rule in model.comparison_set.blocking],
        retain_matching_columns=True,
        retain_intermediate_calculation_columns=False,
        linker_uid="membershift",
    )


def _rule(rule: BlockingRule, dialect: str) -> Any:
    from splink.blocking_rule_library import CustomRule

    quote = "`" if dialect == "spark" else '"'
    conditions = [f"l.{quote}{column}{quote} = r.{quote}{column}{quote}" for column in rule.on]
    conditions += [f"({rule.where})"] if rule.where else []
    return CustomRule(" AND ".join(conditions), sql_dialect=dialect)


def _comparison(model: TrainedModel, comparison: Comparison, dialect: str) -> Any:
    from splink.comparison_level_library import CustomLevel, ElseLevel
    from splink.comparison_library import CustomComparison

    place = model.comparison_set.comparisons.index(comparison)
    levels: list[Any] = []
    for level in comparison.levels:
        if level.is_null:
            levels.append(CustomLevel(level.sql, level.name, dialect).configure(is_null_level=True))
            continue
        gamma = comparison.gamma_of(level.name)
        shares: dict[str, Any] = {"m_probability": float(model.m[place][gamma]), "u_probability": float(model.u[place][gamma])}
        if level.sql == OTHERWISE:
            levels.append(ElseLevel().configure(**shares))
        elif level.tf is None:
            levels.append(CustomLevel(level.sql, level.name, dialect).configure(**shares))
        else:
            rare: dict[str, Any] = {"tf_adjustment_column": level.tf, "disable_tf_exact_match_detection": True}
            levels.append(CustomLevel(level.sql, level.name, dialect).configure(**shares, **rare))
    return CustomComparison(levels, comparison.name, comparison.title)


def frequencies_sql(model: TrainedModel, column: str, records: str, counts: str) -> str:
    """What Splink reads as term frequencies of `column`, for every value in the table `records`, from the model's table `counts`.

    Splink adds log2(u / frequency), u being the level's; the frequencies are scaled so that this becomes log2(mean / frequency),
    which also holds for a level such as "sounds equal", whose u is not the chance of agreeing on the column.
    """
    rarity = model.rarities[column]
    comparison, level = next(
        (one, level) for one in model.comparison_set.comparisons for level in one.levels if level.tf == column
    )
    share = float(model.u[model.comparison_set.comparisons.index(comparison)][comparison.gamma_of(level.name)])
    scale = share / rarity.mean / rarity.filled
    return (
        f'SELECT v."{column}", greatest(coalesce(c.count, 0) - 1.5, 0.5) * CAST({scale!r} AS DOUBLE) AS "tf_{column}" '
        f'FROM (SELECT DISTINCT "{column}" FROM {records} WHERE "{column}" IS NOT NULL) v '
        f'LEFT JOIN {counts} c ON CAST(v."{column}" AS STRING) = c.value'
    )

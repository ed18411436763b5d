"""A trained model to look at: each level with its weight, and two models beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from etl.dedupe.model import Thresholds
from etl.dedupe.review import NEVER_RUN
from etl.dedupe.trained_model import TrainedModel, load_model, save_model
from etl.errors import ConfigurationError
from etl.settings import Settings

MODEL_FILE: Final = "model.json"
NO_MODEL: Final = "Run `membershift dedupe model train`, or `membershift dedupe run`, which trains one when there is none."


@dataclass(frozen=True)
class LevelView:
    """One outcome of a comparison: `m` of matches and `u` of other pairs come to it; `weight` is log2(m / u), rarity not counted.

    `m_from`, `u_from`: trained, fixed, counted, sampled or assumed.
    """

    comparison: str
    title: str
    level: str
    m: float
    u: float
    weight: float
    m_from: str
    u_from: str
    rarity: bool


@dataclass(frozen=True)
class ModelView:
    """A trained model without the values it learned from. `personal_id`: it learned from an id that belongs to one person."""

    name: str
    title: str
    version: str
    sha: str
    records: int
    prior_weight: float
    thresholds: Thresholds
    levels: tuple[LevelView, ...]
    training_pairs: Mapping[str, int]
    personal_id: bool = True


@dataclass(frozen=True)
class ModelComparison:
    """Two models. `weights`: (comparison, level, weight in the first, in the second), None where a model has no such level."""

    first: ModelView
    second: ModelView
    weights: tuple[tuple[str, str, float | None, float | None], ...]

    @property
    def largest_change(self) -> float:
        """The most that a weight of both differs; 0 for the same model."""
        return max(
            (abs(ours - theirs) for _, _, ours, theirs in self.weights if ours is not None and theirs is not None), default=0.0
        )


def model_path(settings: Settings) -> Path:
    """Where the trained model of the last run, or the last training, lives."""
    return settings.dedupe_dir / MODEL_FILE


def model_of_run(settings: Settings) -> TrainedModel:
    """The model of the last run. Raises ConfigurationError when nothing was run yet."""
    path = model_path(settings)
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist.", NEVER_RUN)
    return load_model(path)


def read_model_view(settings: Settings, path: Path | None = None) -> ModelView:
    """The model at `path`, or the one in use. Raises ConfigurationError."""
    chosen = path or model_path(settings)
    if not chosen.is_file():
        raise ConfigurationError(f"{chosen} does not exist.", NO_MODEL)
    return view_model(load_model(chosen))


def view_model(model: TrainedModel) -> ModelView:
    """The weights of a model, in the order of its comparisons, the best level first."""
    levels = []
    for place, comparison in enumerate(model.comparison_set.comparisons):
        for gamma in range(len(comparison.weighed) - 1, -1, -1):
            level = comparison.level_of(gamma)
            levels.append(
                LevelView(
                    comparison.name,
                    comparison.title,
                    level.name,
                    float(model.m[place][gamma]),
                    float(model.u[place][gamma]),
                    model.weight(comparison, gamma),
                    model.m_from[place][gamma],
                    model.u_from[place][gamma],
                    level.tf is not None,
                )
            )
    return ModelView(
        model.name,
        model.comparison_set.title,
        model.version,
        model.sha,
        model.records,
        model.prior_weight,
        model.comparison_set.thresholds,
        tuple(levels),
        dict(model.pairs),
        has_personal_id(model),
    )


def has_personal_id(model: TrainedModel) -> bool:
    """Whether an id of one person was among what it learned from: in the comparison set, and seen on both records of any pair."""
    comparisons = enumerate(model.comparison_set.comparisons)
    return any(comparison.personal_id and "trained" in model.m_from[place] for place, comparison in comparisons)


def compare_models(first: ModelView, second: ModelView) -> ModelComparison:
    """Every level of either model with both weights, the order of the first."""
    ours = {(level.title, level.level): level.weight for level in first.levels}
    theirs = {(level.title, level.level): level.weight for level in second.levels}
    both = dict.fromkeys([*ours, *theirs])
    return ModelComparison(first, second, tuple((*key, ours.get(key), theirs.get(key)) for key in both))


def keep_model(model: TrainedModel, path: Path) -> tuple[ModelView, Path | None]:
    """Save a newly trained model, the one before it beside it under its version; return both it and where the old one went."""
    earlier: Path | None = None
    if path.is_file():
        old = load_model(path)
        if old.sha == model.sha:
            return view_model(old), None
        earlier = path.with_name(f"model-{old.version}.json")
        save_model(old, earlier)
    return view_model(save_model(model, path)), earlier

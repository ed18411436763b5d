"""A trained model: a comparison set, what was learned for it, and how frequent values are; kept as one JSON file.

The file holds the comparison set's text, so that a rerun scores pairs as before even when the set's own file has changed since.
Frequent names stand in it: it is written and read as member data.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from etl.dedupe.model import Comparison, ComparisonSet
from etl.dedupe.patterns import Shares
from etl.dedupe.read_model import parse_model
from etl.errors import ConfigurationError
from etl.personal_files import read_personal_file, write_personal_file

FORMAT: Final = 1
Learned = Literal["trained", "fixed", "counted", "sampled", "assumed"]


@dataclass(frozen=True)
class Rarity:
    """How frequent the values of a column are. `counts`: columns value (String), count; those of one record are left out.

    `mean` is the chance that two records agree on the column: a value half as frequent weighs one bit more.
    """

    column: str
    counts: pl.DataFrame
    filled: int
    mean: float

    def weight(self, value: str) -> float:
        """Bits that agreeing on `value` weighs more (rare) or less (frequent) than on an average one."""
        found = self.counts.filter(pl.col("value") == value)["count"]
        others = max((found[0] if len(found) else 0) - 1.5, 0.5)  # beside the pair itself; none seen counts as half a record
        return math.log2(self.mean / (others / self.filled))


@dataclass(frozen=True)
class TrainedModel:
    """`m` and `u`: for each comparison the shares of matches, and of other pairs, at each gamma from 0 up. `prior`: the share of
    matches among all pairs. `m_from`, `u_from`: where each share comes from. `records` were trained on; `pairs`: of each training
    block."""

    comparison_set: ComparisonSet
    prior: float
    m: Shares
    u: Shares
    m_from: tuple[tuple[Learned, ...], ...]
    u_from: tuple[tuple[Learned, ...], ...]
    rarities: Mapping[str, Rarity]
    records: int
    pairs: tuple[tuple[str, int], ...]
    sha: str = ""

    @property
    def name(self) -> str:
        """The name of its comparison set."""
        return self.comparison_set.name

    @property
    def version(self) -> str:
        """Version of the comparison set, and the first digits of what was learned: "1-3f2a91bc"."""
        return f"{self.comparison_set.version}-{self.sha[:8]}"

    @property
    def prior_weight(self) -> float:
        """The match weight of a pair of which nothing is known."""
        return math.log2(self.prior / (1 - self.prior))

    def weight(self, comparison: Comparison, gamma: int) -> float:
        """The match weight that a level adds; 0 for a missing value. Rarity comes on top."""
        if gamma < 0:
            return 0.0
        place = self.comparison_set.comparisons.index(comparison)
        return float(np.log2(self.m[place][gamma] / self.u[place][gamma]))


def save_model(model: TrainedModel, path: Path) -> TrainedModel:
    """Write the model; return it with its `sha`."""
    text = as_json(model)
    with write_personal_file(path) as file:
        file.write(text.encode())
    return read_json(text, path)


def load_model(path: Path) -> TrainedModel:
    """Read a model. Raises ConfigurationError when the file is not one, or of another release's format."""
    with read_personal_file(path) as file:
        return read_json(file.read().decode(), path)


def as_json(model: TrainedModel) -> str:
    """The model as JSON text, the same for the same model."""
    levels = {
        comparison.name: [
            {
                "level": level.name,
                "gamma": gamma,
                "m": float(model.m[place][gamma]),
                "u": float(model.u[place][gamma]),
                "m_from": model.m_from[place][gamma],
                "u_from": model.u_from[place][gamma],
            }
            for gamma, level in enumerate(reversed(comparison.weighed))
        ]
        for place, comparison in enumerate(model.comparison_set.comparisons)
    }
    rarities = {
        rarity.column: {"filled": rarity.filled, "mean": rarity.mean, "counts": dict(rarity.counts.rows())}
        for rarity in model.rarities.values()
    }
    content = {
        "format": FORMAT,
        "comparison_set": model.comparison_set.text,
        "prior": model.prior,
        "records": model.records,
        "training_pairs": dict(model.pairs),
        "levels": levels,
        "rarities": rarities,
    }
    return json.dumps(content, ensure_ascii=False, indent=1)


def read_json(text: str, path: Path) -> TrainedModel:
    """The model of a JSON text; `path` is for messages."""
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != FORMAT:
            raise ConfigurationError(f"{path} was written by another release.", "Train again: membershift dedupe model train")
        comparison_set = parse_model(content["comparison_set"], path)
        levels = [content["levels"][comparison.name] for comparison in comparison_set.comparisons]
        return TrainedModel(
            comparison_set=comparison_set,
            prior=content["prior"],
            m=tuple(np.array([level["m"] for level in one]) for one in levels),
            u=tuple(np.array([level["u"] for level in one]) for one in levels),
            m_from=tuple(tuple(level["m_from"] for level in one) for one in levels),
            u_from=tuple(tuple(level["u_from"] for level in one) for one in levels),
            rarities={column: _rarity(column, told) for column, told in content["rarities"].items()},
            records=content["records"],
            pairs=tuple(content["training_pairs"].items()),
            sha=hashlib.sha256(text.encode()).hexdigest(),
        )
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is not a trained model.", "Train again: membershift dedupe model train") from error


def _rarity(column: str, told: Mapping[str, Any]) -> Rarity:
    counts = pl.DataFrame(
        {"value": list(told["counts"]), "count": list(told["counts"].values())}, schema={"value": pl.String, "count": pl.Int64}
    )
    return Rarity(column, counts, told["filled"], told["mean"])

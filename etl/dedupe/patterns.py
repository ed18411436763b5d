"""Expectation maximisation over counted comparison vectors, in numpy: exact counts in, the same figures out every time.

The model is Fellegi and Sunter's (1969): a pair is a match or not, and given that, comparisons are independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ROUNDS: Final = 200
STILL: Final = 1e-7


@dataclass(frozen=True)
class Patterns:
    """Distinct comparison vectors (a row each, a column a comparison, -1 where missing) and how many pairs have each."""

    vectors: npt.NDArray[np.int8]
    counts: Floats

    @property
    def pairs(self) -> float:
        """All pairs."""
        return float(self.counts.sum())


Shares = tuple[Floats, ...]
"""For each comparison the share of pairs at each gamma, from 0 up."""


def bayes_factors(patterns: Patterns, m: Shares, u: Shares, used: Sequence[int]) -> Floats:
    """Log (base e) of how much likelier each vector is among matches, by the comparisons `used`."""
    total = np.zeros(len(patterns.counts))
    for place in used:
        weights = np.append(np.log(m[place]) - np.log(u[place]), 0.0)  # the last one is gamma -1: missing says nothing
        total += weights[patterns.vectors[:, place]]
    return total


def posterior(factors: Floats, prior: float) -> Floats:
    """Probability of a match given the log factor and the share of matches among the pairs."""
    odds = factors + np.log(prior) - np.log1p(-prior)
    result: Floats = 1 / (1 + np.exp(-np.clip(odds, -700, 700)))
    return result


def share_of_matches(patterns: Patterns, factors: Floats, start: float) -> float:
    """The share of matches among the pairs that makes their vectors likeliest, m and u as they are."""
    prior = start
    for _ in range(ROUNDS):
        found = float((posterior(factors, prior) * patterns.counts).sum()) / max(patterns.pairs, 1.0)
        found = min(max(found, 1e-12), 1 - 1e-9)
        if abs(found - prior) <= STILL * prior:
            return found
        prior = found
    return prior


def level_counts(patterns: Patterns, weights: Floats, place: int, levels: int) -> Floats:
    """How many pairs, each counted by its weight, are at each gamma of a comparison; missing ones are left out."""
    seen = patterns.vectors[:, place] >= 0
    return np.bincount(patterns.vectors[seen, place], weights=weights[seen], minlength=levels).astype(np.float64)


def learn_m(
    blocks: Sequence[tuple[Patterns, Sequence[int]]], m: Shares, u: Shares, fixed: Mapping[int, Mapping[int, float]]
) -> tuple[Shares, list[Floats]]:
    """Learn m from blocks of pairs, each with the comparisons that may be used there (not those it is blocked on).

    Returns m, and for each comparison how many matched pairs it was learned from, at each gamma. `fixed`: comparison -> gamma ->
    share that stays. A comparison that no block shows keeps its m.
    """
    priors = [0.5] * len(blocks)
    seen = [np.zeros(len(share)) for share in m]
    for _ in range(ROUNDS):
        seen = [np.zeros(len(share)) for share in m]
        for number, (patterns, used) in enumerate(blocks):
            factors = bayes_factors(patterns, m, u, used)
            priors[number] = share_of_matches(patterns, factors, priors[number])
            weights = posterior(factors, priors[number]) * patterns.counts
            for place in used:
                seen[place] += level_counts(patterns, weights, place, len(m[place]))
        learned = tuple(
            normalised(count, fixed.get(place, {})) if count.sum() >= 1 else m[place] for place, count in enumerate(seen)
        )
        moved = max(float(np.abs(new - old).max()) for new, old in zip(learned, m, strict=True))
        m = learned
        if moved < STILL:
            break
    return m, seen


def normalised(counts: Floats, fixed: Mapping[int, float], least: float = 0.5) -> Floats:
    """Counts as shares that add up to 1. What was never seen counts as half a pair, so that nothing is impossible.

    >>> normalised(np.array([1.0, 3.0]), {}).tolist()
    [0.25, 0.75]
    >>> normalised(np.array([0.0, 9.0, 1.0]), {0: 0.5}).tolist()
    [0.5, 0.45, 0.05]
    """
    filled = np.maximum(counts, min(least, max(counts.sum() * 0.01, 1e-9)))
    free = np.array([gamma not in fixed for gamma in range(len(counts))])
    shares = np.array([fixed.get(gamma, 0.0) for gamma in range(len(counts))])
    if free.any():
        shares[free] = filled[free] / filled[free].sum() * (1 - shares.sum())
    return shares

"""Confidence intervals of shares, as pure functions: one sample, a sample of each stratum, and a share of two sums.

A share that was seen in 50 of 50 labels is not known to be 100 %: every figure measured on a sample carries its interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Interval:
    """A share between 0 and 1 (or a count) with the limits between which it lies, at the confidence asked for."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Stratum:
    """`size` things there are, of which `labelled` were looked at and `positive` of these were found to be so."""

    size: int
    labelled: int
    positive: int


def wilson(positive: int, labelled: int, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of a share. Nothing labelled: nothing is known, 0 to 1.

    Source: E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22, 209-212.

    >>> round(wilson(50, 50).low, 4), wilson(50, 50).high
    (0.9287, 1.0)
    >>> [round(limit, 4) for limit in (wilson(81, 263).low, wilson(81, 263).high)]
    [0.2553, 0.3662]
    >>> wilson(0, 0)
    Interval(value=0.5, low=0.0, high=1.0)
    """
    if labelled == 0:
        return Interval(0.5, 0.0, 1.0)
    z = z_of(confidence)
    share = positive / labelled
    scale = 1 + z * z / labelled
    middle = (share + z * z / (2 * labelled)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / labelled + z * z / (4 * labelled**2))
    low = 0.0 if positive == 0 else max(0.0, middle - half)
    high = 1.0 if positive == labelled else min(1.0, middle + half)
    return Interval(share, low, high)


def stratified_count(strata: Sequence[Stratum], confidence: float = CONFIDENCE) -> Interval:
    """How many of all things are positive, from a sample of each stratum; a stratum labelled whole has no error.

    A stratum without a label may hold anything from none to all; as its value it is given the share of the others.

    Source: Zou, Huang, Zhang (2009), A note on confidence interval estimation for a linear function of binomial proportions,
    Computational Statistics & Data Analysis 53, 1080-1085: the limits of each stratum (Wilson), put together by their squares.

    >>> stratified_count([Stratum(100, 100, 97), Stratum(50, 50, 10)])
    Interval(value=107.0, low=107.0, high=107.0)
    >>> found = stratified_count([Stratum(9_000, 100, 99), Stratum(1_000, 100, 60)])
    >>> round(found.value), round(found.low), round(found.high)
    (9510, 9098, 9627)
    """
    value = below = above = 0.0
    known = [stratum for stratum in strata if stratum.labelled]
    found, seen = sum(one.size * one.positive / one.labelled for one in known), sum(one.size for one in known)
    usual = found / seen if seen else 0.5
    for stratum in strata:
        if stratum.labelled >= stratum.size:
            value += stratum.positive
            continue
        share = wilson(stratum.positive, stratum.labelled, confidence) if stratum.labelled else Interval(usual, 0.0, 1.0)
        value += stratum.size * share.value
        below += (stratum.size * (share.value - share.low)) ** 2
        above += (stratum.size * (share.high - share.value)) ** 2
    everything = sum(stratum.size for stratum in strata)
    return Interval(value, max(0.0, value - math.sqrt(below)), min(float(everything), value + math.sqrt(above)))


def stratified_share(strata: Sequence[Stratum], confidence: float = CONFIDENCE) -> Interval:
    """The share of all things that is positive; of nothing, nothing is known.

    >>> stratified_share([Stratum(50, 50, 50)])
    Interval(value=1.0, low=1.0, high=1.0)
    >>> stratified_share([])
    Interval(value=0.5, low=0.0, high=1.0)
    """
    everything = sum(stratum.size for stratum in strata)
    if everything == 0:
        return Interval(0.5, 0.0, 1.0)
    count = stratified_count(strata, confidence)
    return Interval(count.value / everything, count.low / everything, count.high / everything)


def share_of_sums(inside: Sequence[Stratum], outside: Sequence[Stratum], confidence: float = CONFIDENCE) -> Interval:
    """Positives inside as a share of all positives: recall, when `inside` is what was merged.

    Each sum gets an interval at half the error, so that both hold at once with `confidence` (Bonferroni): somewhat too wide,
    never too narrow.

    >>> found = share_of_sums([Stratum(100, 100, 95)], [Stratum(900, 900, 5)])
    >>> found.value, found.low, found.high
    (0.95, 0.95, 0.95)
    """
    half = 1 - (1 - confidence) / 2
    first, second = stratified_count(inside, half), stratified_count(outside, half)
    return Interval(ratio(first.value, second.value), ratio(first.low, second.high), ratio(first.high, second.low))


def ratio(inside: float, outside: float) -> float:
    """inside / (inside + outside); of nothing, a whole share.

    >>> ratio(3, 1), ratio(0, 0)
    (0.75, 1.0)
    """
    return inside / (inside + outside) if inside + outside else 1.0


def z_of(confidence: float) -> float:
    """The two-sided quantile of the normal distribution.

    >>> round(z_of(0.95), 4)
    1.96
    """
    return NormalDist().inv_cdf((1 + confidence) / 2)

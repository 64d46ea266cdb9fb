"""Metrics over many resamples at once, with exact weights and ties.

Each takes ``(truth, predicted, weights)``, shapes ``(n,)``, ``(n,)`` and ``(n_resamples, n)``, and returns
``(n_resamples,)``; a weight says how often a gene was drawn. With weights of one, values equal those of
scikit-learn and scipy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simplechrome_tk.core import keys as k

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

CALIBRATION_BINS = 15
"""Bins of :func:`expected_calibration_error`."""

# Variance, relative to the square of the largest value, below which values differ by rounding alone.
_ROUNDING = 1e-26


def auroc(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Chance that a high gene has a higher probability than a low gene; ties count half."""
    high, every = _by_value(predicted, weights * truth), _by_value(predicted, weights)
    low = every - high
    wins = np.einsum("bv,bv->b", high, np.cumsum(low, axis=1) - low / 2)
    return _ratio(wins, high.sum(axis=1) * low.sum(axis=1))


def auprc(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision: the precision at each threshold, weighted by the recall it adds."""
    high, every = (_by_value(predicted, part)[:, ::-1] for part in (weights * truth, weights))
    precision = _ratio(np.cumsum(high, axis=1), np.cumsum(every, axis=1))
    return _ratio((high * np.nan_to_num(precision)).sum(axis=1), high.sum(axis=1))


def accuracy(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of genes that are classified correctly, high above a probability of 0.5."""
    return _ratio(weights @ ((predicted > 0.5) == truth), weights.sum(axis=1))


class Bins(NamedTuple):
    """Genes sorted by probability in bins of equal count, ``(n_resamples, n_bins)`` each.

    Attributes
    ----------
    number
        Number of genes.
    high
        Number of genes that are high.
    expected
        Number of high genes that is expected from their probabilities, which is the sum of these.
    """

    number: np.ndarray
    high: np.ndarray
    expected: np.ndarray


def calibration_bins(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray, *, n_bins: int = CALIBRATION_BINS
) -> Bins:
    """Sort genes into bins of equal count by probability; genes of one probability share the bin of their mean rank."""
    # Where no gene was drawn, values become NaN without a warning.
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    middle = (_ranks(predicted, weights) - 0.5) / total
    # Each resample has a range of bin numbers of its own, so that one bincount serves all of them.
    place = np.clip(middle * n_bins, 0, n_bins - 1).astype(np.int64) + np.arange(len(weights))[:, None] * n_bins
    sums = (
        np.bincount(place.ravel(), (weights * per_gene).ravel(), len(weights) * n_bins)
        for per_gene in (1, truth, predicted)
    )
    return Bins(*(values.reshape(-1, n_bins) for values in sums))


def expected_calibration_error(
    truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray, *, n_bins: int = CALIBRATION_BINS
) -> np.ndarray:
    """Mean distance between probability and share of high genes over bins, weighted by their number of genes.

    The expected calibration error (ECE) of Naeini et al. (AAAI 2015) of the probability of *high*, with bins of equal
    count as in Nixon et al. (arXiv 1904.01685), since most probabilities lie near 0 and 1, and 15 of them as in Guo et
    al. (arXiv 1706.04599). It is never below 0, so that chance alone raises it.
    """
    bins = calibration_bins(truth, predicted, weights, n_bins=n_bins)
    return _ratio(np.abs(bins.high - bins.expected).sum(axis=1), weights.sum(axis=1))


def pearson(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Linear correlation; NaN with a constant."""
    return _correlation(np.broadcast_to(truth, weights.shape), np.broadcast_to(predicted, weights.shape), weights)


def spearman(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlation of ranks, ties at their mean rank; NaN with a constant."""
    return _correlation(_ranks(truth, weights), _ranks(predicted, weights), weights)


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Pearson correlation of each row."""
    total = np.maximum(weights.sum(axis=1), 1)
    dx = x - ((x * weights).sum(axis=1) / total)[:, None]
    dy = y - ((y * weights).sum(axis=1) / total)[:, None]
    xx, yy, xy = (np.einsum("bn,bn,bn->b", weights, a, b) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    constant = (xx <= _ROUNDING * total * np.square(x).max()) | (yy <= _ROUNDING * total * np.square(y).max())
    return np.where(constant, np.nan, _ratio(xy, np.sqrt(xx * yy)))


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean rank of each gene where each gene counts ``weights`` times, ``(n_resamples, n)``."""
    times = _by_value(values, weights)
    ranks = np.cumsum(times, axis=1) - (times - 1) / 2
    return ranks[:, np.unique(values, return_inverse=True)[1]]


def _by_value(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight of each distinct value, ascending, shape ``(n_resamples, n_values)``."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    # Without ties there is nothing to add up.
    if len(starts) == len(order):
        return weights[:, order]
    return np.add.reduceat(weights[:, order], starts, axis=1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """``numerator / denominator``, NaN where that is undefined."""
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)


METRICS: dict[str, dict[str, Metric]] = {
    k.PROBABILITY: {
        "AUROC": auroc,
        "AUPRC": auprc,
        "accuracy": accuracy,
        "ECE": expected_calibration_error,
    },
    k.LOG_EXPRESSION: {"Pearson": pearson, "Spearman": spearman},
    k.DEVIATION: {"deviation": pearson},
}
"""Metrics of each column of a prediction, and of the deviation from the reference, which is made from a column."""

LOWER_IS_BETTER = ("ECE",)

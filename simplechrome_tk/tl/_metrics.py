"""Metrics over many resamples at once: exact weighted counts, ties included.

Each takes ``(truth, predicted, weights)``, shapes ``(n,)``, ``(n,)`` and ``(n_resamples, n)``, and returns
``(n_resamples,)``; a weight says how often a gene was drawn. With weights of one they are scikit-learn's and scipy's.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

_ROUNDING = 1e-26  # relative variance below which values differ by rounding alone


def auroc(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Chance that a high gene gets a higher probability than a low gene; ties count half."""
    high, low = _by_value(predicted, weights * truth), _by_value(predicted, weights * (1 - truth))
    wins = (high * (np.cumsum(low, axis=1) - low / 2)).sum(axis=1)
    return _ratio(wins, high.sum(axis=1) * low.sum(axis=1))


def auprc(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision: the precision at each threshold, weighted by the recall it adds."""
    high, every = (_by_value(predicted, part)[:, ::-1] for part in (weights * truth, weights))
    precision = _ratio(np.cumsum(high, axis=1), np.cumsum(every, axis=1))
    return _ratio((high * np.nan_to_num(precision)).sum(axis=1), high.sum(axis=1))


def accuracy(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Share of genes called right, high above a probability of 0.5."""
    return _ratio(weights @ ((predicted > 0.5) == truth), weights.sum(axis=1))


def pearson(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Linear correlation; NaN with a constant."""
    return _correlation(np.broadcast_to(truth, weights.shape), np.broadcast_to(predicted, weights.shape), weights)


def spearman(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Correlation of ranks, ties at their mean rank; NaN with a constant."""
    return _correlation(_ranks(truth, weights), _ranks(predicted, weights), weights)


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Pearson correlation of each row."""
    total = weights.sum(axis=1)
    dx = x - ((x * weights).sum(axis=1) / total)[:, None]
    dy = y - ((y * weights).sum(axis=1) / total)[:, None]
    xx, yy, xy = (np.einsum("bn,bn,bn->b", weights, a, b) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
    constant = (xx <= _ROUNDING * total * np.square(x).max()) | (yy <= _ROUNDING * total * np.square(y).max())
    return np.where(constant, np.nan, _ratio(xy, np.sqrt(xx * yy)))


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean rank of each gene when each is there ``weights`` times, shape ``(n_resamples, n)``."""
    times = _by_value(values, weights)
    ranks = np.cumsum(times, axis=1) - (times - 1) / 2
    return ranks[:, np.unique(values, return_inverse=True)[1]]


def _by_value(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weight of each distinct value, ascending, shape ``(n_resamples, n_values)``."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return np.add.reduceat(weights[:, order], starts, axis=1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """``numerator / denominator``, NaN where that is undefined."""
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator > 0)

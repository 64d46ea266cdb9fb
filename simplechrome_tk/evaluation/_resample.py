"""Bootstrap resamples of genes, and intervals from them."""

from __future__ import annotations

import logging
from itertools import product
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from simplechrome_tk.evaluation._align import Sample
    from simplechrome_tk.evaluation._metrics import Metric

logger = logging.getLogger(__name__)

Key = TypeVar("Key")

# Weights computed in one piece, so that they stay within a processor's cache (200,000 floats are 1.6 MB).
_WEIGHTS_AT_ONCE = 200_000


def spawn_generators(rng: np.random.Generator | int | None) -> dict[tuple[str, str], np.random.Generator]:
    """Return a generator for each split and key of the metrics, the same whichever others are scored."""
    # The deviation comes last, so that it leaves the resamples of the other metrics as they are without it.
    names = [*product(k.SPLITS, (k.PROBABILITY, k.LOG_EXPRESSION)), *product(k.SPLITS, (k.DEVIATION,))]
    return dict(zip(names, np.random.default_rng(rng).spawn(len(names)), strict=True))


def draw_weights(units: pd.Index, n_bootstrap: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield how often each row counts: once at first, then as often as its unit is drawn with replacement.

    Parameters
    ----------
    units
        The unit that each row is drawn with, ``(n,)``: a gene, which may have rows in several cell types, or a block.
    n_bootstrap
        Number of resamples.
    rng
        Source of the draws.

    Yields
    ------
    numpy.ndarray
        Weights, ``(1, n)`` at first, then ``(n_resamples, n)`` in several pieces, ``n_bootstrap`` rows altogether.
    """
    unit, distinct = pd.factorize(units)
    yield np.ones((1, len(unit)))
    step = max(1, _WEIGHTS_AT_ONCE // len(distinct))
    for start in range(0, n_bootstrap, step):
        size = min(step, n_bootstrap - start)
        # Each resample counts its draws in a range of numbers of its own, so that one bincount serves all of them.
        drawn = rng.integers(len(distinct), size=(size, len(distinct))) + np.arange(size)[:, None] * len(distinct)
        times = np.bincount(drawn.ravel(), minlength=size * len(distinct)).reshape(size, len(distinct))
        yield times[:, unit].astype(float)


def draw_seeds(n_seeds: int, n_bootstrap: int, rng: np.random.Generator) -> np.ndarray:
    """Return the weight of each training in the mean of every resample, ``(1 + n_bootstrap, n_seeds)``.

    The first row weighs all trainings alike. Each other row is a draw with replacement of one training fewer than there
    are: the mean of ``n`` draws of ``n`` varies too little, by the factor ``(n - 1) / n``, and that of ``n - 1`` draws
    varies as the mean of new trainings does.
    """
    equal = np.full((1, n_seeds), 1 / n_seeds)
    if n_seeds == 1:
        return np.ones((1 + n_bootstrap, 1))
    drawn = rng.multinomial(n_seeds - 1, equal[0], size=n_bootstrap) / (n_seeds - 1)
    return np.vstack([equal, drawn])


def mean_over_seeds(scores: Sequence[np.ndarray], share: np.ndarray) -> np.ndarray:
    """Return the mean of the scores ``(1 + n_bootstrap,)`` of each training, weighted as :func:`draw_seeds` does."""
    return np.einsum("sb,bs->b", np.stack(scores), share)


def score_samples(
    samples: Mapping[Key, Sample], metrics: Mapping[str, Metric], draws: Iterable[np.ndarray]
) -> dict[Key, dict[str, np.ndarray]]:
    """Return each metric of each sample on every resample, ``(n_resamples,)``.

    ``draws`` are weights ``(n_resamples, n_columns)``, the same for all samples; the ``rows`` of a sample say which of
    their columns are its genes.
    """
    parts: dict[Key, dict[str, list[np.ndarray]]] = {key: {metric: [] for metric in metrics} for key in samples}
    for weights in draws:
        for key, sample in samples.items():
            own = weights[:, sample.rows]
            for metric, function in metrics.items():
                parts[key][metric].append(function(sample.truth, sample.predicted, own))
    return {key: {metric: np.concatenate(p) for metric, p in by_metric.items()} for key, by_metric in parts.items()}


def drop_undefined(resampled: np.ndarray, value: float, what: str) -> np.ndarray:
    """Leave out resamples in which a metric is undefined, and count them in the log, under the name ``what``.

    The ``value`` of all genes tells whether that is an accident of the draws.
    """
    defined = resampled[~np.isnan(resampled)]
    if np.isnan(value):
        logger.info("%s is undefined: the truth or the prediction is the same for all genes.", what)
    elif len(defined) < len(resampled):
        logger.warning(
            "%s: undefined in %d of %d resamples, which are left out.",
            what,
            len(resampled) - len(defined),
            len(resampled),
        )
    return defined


def recentre(resampled: np.ndarray, value: float, metric: str, *, floor: float = -np.inf) -> np.ndarray:
    """Shift the resamples of a calibration error so that their median is the value; leave other metrics as they are.

    An ECE adds up absolute errors of bins. Drawing genes adds noise to each error, so that resamples lie above the
    value itself, and their percentiles may not even include it. Values below ``floor`` are set to it.
    """
    if metric != "ECE" or not len(resampled):
        return resampled
    return np.maximum(resampled + (value - np.median(resampled)), floor)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 2.5 and 97.5 percentiles, NaN without resamples."""
    if not len(resampled):
        return np.nan, np.nan
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def check_n_bootstrap(n_bootstrap: int) -> None:
    """Raise ``ValueError`` below 0."""
    if n_bootstrap < 0:
        msg = f"n_bootstrap is {n_bootstrap}; expected 0 or more."
        raise ValueError(msg)

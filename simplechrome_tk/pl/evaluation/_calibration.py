"""Reliability diagrams of predicted probabilities."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.statistics import NORMAL_95
from simplechrome_tk.evaluation._metrics import CALIBRATION_BINS, calibration_bins, expected_calibration_error
from simplechrome_tk.pl._style import GREY, colors
from simplechrome_tk.pl.evaluation._curves import align_labels, finish_square, name_curve, score_sample, square_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes


def calibration(
    adata: ad.AnnData,
    predictions: Mapping[str, pd.DataFrame] | pd.DataFrame,
    *,
    split: str = "test",
    n_bins: int = CALIBRATION_BINS,
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
    ax: Axes | None = None,
) -> Axes:
    """Draw a reliability diagram: the share of high genes among genes of similar probability, with the ECE.

    Above the diagonal, genes are high more often than their probability says; below it, less often.

    Parameters
    ----------
    adata
        Genes with labels and a split.
    predictions
        A prediction as for :func:`simplechrome_tk.evaluation.evaluate`, or several by name.
    split
        Genes to draw.
    n_bins
        Number of bins, each of equally many genes; :func:`simplechrome_tk.evaluation.evaluate` has 15.
    label_key, split_key
        Columns of ``obs`` with labels and splits.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        For each prediction a line through its bins, with the 95 % interval of each share (Wilson 1927), and the
        diagonal of perfect calibration.

    Raises
    ------
    ValueError
        When ``n_bins`` is below 2, or as :func:`simplechrome_tk.evaluation.evaluate`.
    """
    if n_bins < 2:
        msg = f"n_bins is {n_bins}; expected 2 or more."
        raise ValueError(msg)
    samples = align_labels(adata, predictions, split, label_key, split_key)
    ax = square_axes(ax, len(samples))
    color = colors(list(samples))
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated (ECE 0.000)")
    for name, sample in samples.items():
        bins = calibration_bins(sample.truth, sample.predicted, np.ones((1, len(sample.truth))), n_bins=n_bins)
        filled = bins.number[0] > 0
        number, high, expected = (values[0, filled] for values in bins)
        share, low, above = _wilson(high, number)
        error = score_sample(partial(expected_calibration_error, n_bins=n_bins), sample)
        ax.errorbar(
            expected / number,
            share,
            yerr=[share - low, above - share],
            color=color[name],
            marker="o",
            markersize=4,
            linewidth=1.5,
            elinewidth=1,
            label=name_curve(name, "ECE", error),
        )
    ax.set(xlabel="predicted probability of high (mean of bin)", ylabel="high genes (fraction of bin)")
    return finish_square(ax, samples, split)


def _wilson(high: np.ndarray, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the share of high genes and the ends of its 95 % interval by Wilson's score."""
    share = high / number
    middle = (share + NORMAL_95**2 / (2 * number)) / (1 + NORMAL_95**2 / number)
    half = (
        NORMAL_95 / (1 + NORMAL_95**2 / number) * np.sqrt(share * (1 - share) / number + NORMAL_95**2 / (4 * number**2))
    )
    return share, np.minimum(middle - half, share), np.maximum(middle + half, share)

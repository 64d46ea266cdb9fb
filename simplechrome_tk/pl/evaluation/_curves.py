"""ROC and precision-recall curves of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.transforms import ScaledTranslation
from sklearn.metrics import precision_recall_curve, roc_curve

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import label_truth, split_of
from simplechrome_tk.evaluation._align import align
from simplechrome_tk.evaluation._metrics import auprc, auroc
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, colors, literal

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

    from simplechrome_tk.evaluation._align import Sample
    from simplechrome_tk.evaluation._metrics import Metric


def roc_and_precision_recall(
    adata: ad.AnnData,
    predictions: Mapping[str, pd.DataFrame] | pd.DataFrame,
    *,
    split: str = "test",
    label_key: str = k.LABEL,
    split_key: str = k.SPLIT,
) -> np.ndarray:
    """Draw the ROC curve and the precision-recall curve of each prediction, with the areas below them.

    Parameters
    ----------
    adata
        Genes with labels and a split.
    predictions
        A prediction as for :func:`simplechrome_tk.evaluation.evaluate`, or several by name.
    split
        Genes to draw.
    label_key, split_key
        Columns of ``obs`` with labels and splits.

    Returns
    -------
    numpy.ndarray
        Two Axes. Left: the true against the false positive rate, with AUROC, and the diagonal of guessing. Right:
        precision against recall in steps, with average precision (AUPRC), and the level of guessing, which is the
        fraction of high genes. One line per prediction.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.evaluation.evaluate`.
    """
    samples = align_labels(adata, predictions, split, label_key, split_key)
    _, axes = subplots(1, 2, figsize=(8.4, 4.7 + 0.22 * len(samples)), layout="constrained")
    for ax, draw in zip(axes, (_draw_roc, _draw_precision_recall), strict=True):
        draw(ax, samples)
        finish_square(ax, samples, split)
    return axes


def _draw_roc(ax: Axes, samples: dict[str, Sample]) -> None:
    """Draw the true against the false positive rate of each prediction."""
    color = colors(list(samples))
    for name, sample in samples.items():
        false, true, _ = roc_curve(sample.truth, sample.predicted, drop_intermediate=False)
        ax.plot(false, true, color=color[name], label=name_curve(name, "AUROC", score_sample(auroc, sample)))
    ax.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="guessing (0.500)")
    ax.set(xlabel="low genes called high (fraction)", ylabel="high genes called high (fraction)")


def _draw_precision_recall(ax: Axes, samples: dict[str, Sample]) -> None:
    """Draw precision against recall of each prediction."""
    color = colors(list(samples))
    for name, sample in samples.items():
        precision, recall, _ = precision_recall_curve(sample.truth, sample.predicted)
        label = name_curve(name, "AUPRC", score_sample(auprc, sample))
        ax.step(recall, precision, where="post", color=color[name], label=label)
    share = next(iter(samples.values())).truth.mean()
    ax.axhline(share, color=GREY, linestyle="--", linewidth=1, label=f"guessing ({share:.3f})")
    ax.set(xlabel="recall: high genes found (fraction)", ylabel="precision: correct calls (fraction)")


def align_labels(
    adata: ad.AnnData,
    predictions: Mapping[str, pd.DataFrame] | pd.DataFrame,
    split: str,
    label_key: str,
    split_key: str,
) -> dict[str, Sample]:
    """Return labels and probabilities on the split for each prediction; one without a name is called ``""``."""
    named = predictions if isinstance(predictions, Mapping) else {"": predictions}
    if not named:
        msg = "predictions is empty; expected a prediction, or several by name."
        raise ValueError(msg)
    inside = split_of(adata, split_key) == split
    truth = label_truth(adata, label_key)
    samples = {}
    for name, prediction in named.items():
        what = f"prediction {name!r}" if name else "prediction"
        if k.PROBABILITY not in prediction:
            msg = f"{what} has columns {', '.join(map(str, prediction)) or 'none'}; expected {k.PROBABILITY!r}."
            raise ValueError(msg)
        probability = prediction[k.PROBABILITY]
        samples[name] = align(adata, probability, truth, inside, where=f"split {split!r}", prediction=what)
    return samples


def score_sample(metric: Metric, sample: Sample) -> float:
    """Return the metric of a sample in which each gene counts once."""
    return float(metric(sample.truth, sample.predicted, np.ones((1, len(sample.truth))))[0])


def name_curve(name: str, metric: str, value: float) -> str:
    """Name a curve in the legend by its prediction and the value of a metric."""
    return literal(f"{name} ({metric} {value:.3f})") if name else f"{metric} {value:.3f}"


def square_axes(ax: Axes | None, n_lines: int) -> Axes:
    """Return ``ax``, or new axes with room below for a legend of so many lines."""
    return subplots(figsize=(4.2, 4.7 + 0.22 * n_lines), layout="constrained")[1] if ax is None else ax


def finish_square(ax: Axes, samples: dict[str, Sample], split: str) -> Axes:
    """Set limits and title of axes that show fractions, and a legend half an inch below them."""
    truth = next(iter(samples.values())).truth
    ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    title = literal(f"{split} split: {len(truth):,} genes, {100 * truth.mean():.0f} % high")
    ax.set_title(title, loc="left", fontsize="medium")
    sns.despine(ax=ax)
    below = ax.transAxes + ScaledTranslation(0, -0.5, ax.figure.dpi_scale_trans)
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, borderaxespad=0, frameon=False)
    return ax

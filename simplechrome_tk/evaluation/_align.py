"""Alignment of predictions with what was measured."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import label_truth
from simplechrome_tk.evaluation._metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import pandas as pd

logger = logging.getLogger(__name__)


class Sample(NamedTuple):
    """Genes to score: what was measured and what was predicted, aligned.

    Attributes
    ----------
    truth
        Label (0, 1) or log expression, ``(n,)``.
    predicted
        Probability or log expression, ``(n,)``.
    rows
        Rows of ``adata`` that the genes are from, ``(n,)``.
    """

    truth: np.ndarray
    predicted: np.ndarray
    rows: np.ndarray


def read_truth(adata: ad.AnnData, column: str, *, label_key: str, expression_key: str) -> np.ndarray:
    """Return what a column of a prediction is scored against, NaN where it was not measured, ``(n_genes,)``."""
    if column == k.PROBABILITY:
        return label_truth(adata, label_key)
    return expression_truth(adata, expression_key)


def scored_columns(prediction: pd.DataFrame, name: str) -> list[str]:
    """Return the columns of ``prediction`` that can be scored; raise ``ValueError`` when there are none.

    The error calls the prediction ``name``.
    """
    columns = [column for column in METRICS if column in prediction]
    if not columns:
        msg = (
            f"{name} has columns {', '.join(map(str, prediction)) or 'none'}; expected {k.PROBABILITY!r}, "
            f"{k.LOG_EXPRESSION!r} or both, as predict returns of SimpleChrome and of comparison models."
        )
        raise ValueError(msg)
    return columns


def choose_splits(split: np.ndarray, splits: Sequence[str] | None, split_key: str) -> list[str]:
    """Return the splits to score, those that have genes where ``splits`` is ``None``; raise where one is unknown."""
    if splits is None:
        return [name for name in k.SPLITS if (split == name).any()]
    chosen = [splits] if isinstance(splits, str) else list(splits)
    unknown = [str(name) for name in chosen if name not in k.SPLITS]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        msg = (
            f"splits is {', '.join(map(str, chosen)) or 'empty'}; choose from {', '.join(k.SPLITS)}, each once. "
            f"They are read from obs[{split_key!r}]."
        )
        raise ValueError(msg)
    return chosen


def align(
    adata: ad.AnnData,
    predicted: pd.Series,
    truth: np.ndarray,
    inside: np.ndarray,
    *,
    where: str,
    prediction: str = "prediction",
) -> Sample:
    """Align a column of a prediction with the genes ``inside`` whose truth is known.

    Parameters
    ----------
    adata
        Genes.
    predicted
        ``probability`` or ``log_expression``, indexed by ``obs_names`` in any order.
    truth
        What was measured, NaN where unknown, ``(n_genes,)``.
    inside
        Which genes are to be scored, ``(n_genes,)``.
    where, prediction
        How errors and the log call these genes, such as ``"split 'test'"``, and this prediction.

    Raises
    ------
    ValueError
        When there is no gene or no truth, a gene lacks a prediction or has two, a prediction is not a finite number, a
        probability is outside 0 to 1, or all labels are of one class.
    """
    if not predicted.index.is_unique:
        twice = predicted.index[predicted.index.duplicated()]
        msg = f"{prediction} names {len(twice)} genes more than once, such as {twice[0]!r}; expected one row for each."
        raise ValueError(msg)
    rows = _rows_with_truth(truth, inside, where, "label" if predicted.name == k.PROBABILITY else "expression")
    names = adata.obs_names[rows]
    missing = names[~names.isin(predicted.index)]
    if len(missing):
        msg = (
            f"{prediction} lacks {len(missing)} of the {len(names)} genes in {where}, such as "
            f"{', '.join(missing[:3])}; expected an index of obs_names. Predict this AnnData, or subset it first."
        )
        raise ValueError(msg)
    values = predicted.loc[names].to_numpy(float)
    bad = ~np.isfinite(values)
    if bad.any():
        msg = (
            f"{prediction}: {int(bad.sum())} of {len(values)} predictions of {predicted.name!r} in {where} are missing "
            f"or infinite, such as that of {names[bad][0]!r}; expected a number for every gene."
        )
        raise ValueError(msg)
    if predicted.name == k.PROBABILITY:
        _check_probability(values, truth[rows], where)
    return Sample(truth[rows], values, rows)


def _rows_with_truth(truth: np.ndarray, inside: np.ndarray, where: str, what: str) -> np.ndarray:
    """Return the rows ``inside`` whose ``truth`` is known; count the others in the log."""
    n_inside = int(inside.sum())
    if not n_inside:
        msg = f"no gene is in {where}; name other splits, or split again with sct.pp.split_by_chromosome(adata)."
        raise ValueError(msg)
    rows = np.flatnonzero(inside & ~np.isnan(truth))
    if not len(rows):
        msg = f"no {what} is known for any of the {n_inside} genes in {where}; score other splits."
        raise ValueError(msg)
    if len(rows) < n_inside:
        logger.info("%s: %d of %d genes have no %s.", where, n_inside - len(rows), n_inside, what)
    return rows


def _check_probability(values: np.ndarray, truth: np.ndarray, where: str) -> None:
    """Raise ``ValueError`` for values outside 0 to 1, and for labels of one class."""
    if values.min() < 0 or values.max() > 1:
        msg = (
            f"probabilities in {where} run from {values.min():.3g} to {values.max():.3g}; expected 0 to 1. "
            "Turn logits into probabilities with scipy.special.expit."
        )
        raise ValueError(msg)
    if len(np.unique(truth)) < len(k.LABELS):
        only = k.LABELS[int(truth[0])]
        msg = (
            f"all {len(truth)} labelled genes in {where} are {only}; AUROC needs both classes. Score other "
            f"splits, or prediction[[{k.LOG_EXPRESSION!r}]] alone."
        )
        raise ValueError(msg)

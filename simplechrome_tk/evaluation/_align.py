"""Alignment of predictions with what was measured."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import check_unique, label_truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)

_NAME_OF_TRUTH = {k.PROBABILITY: "label", k.LOG_EXPRESSION: "expression", k.DEVIATION: "deviation from the reference"}
"""What is scored -> what the log calls its truth."""


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


class Target(NamedTuple):
    """What predictions are scored against.

    Attributes
    ----------
    name
        Key of the metrics: a column of predictions, or the deviation, which is made from the log expression.
    truth
        What was measured, NaN where unknown, ``(n_genes,)``.
    offset
        What is subtracted of the prediction of each gene, as of its truth; ``None`` for nothing.
    """

    name: str
    truth: np.ndarray
    offset: pd.Series | None = None

    @property
    def column(self) -> str:
        """The column of predictions that is scored."""
        return k.LOG_EXPRESSION if self.name == k.DEVIATION else self.name

    def of(self, prediction: pd.DataFrame) -> pd.Series:
        """Return what is scored of a prediction, indexed as the prediction."""
        predicted = prediction[self.column]
        if self.offset is None:
            return predicted
        # An index that repeats cannot be aligned; `align` names the genes.
        offset = self.offset.reindex(predicted.index) if predicted.index.is_unique else 0.0
        # A mean that was stored with fewer digits does not deviate from itself.
        return (predicted - offset).round(6).rename(self.name)


def read_targets(
    adata: ad.AnnData, columns: Sequence[str], *, label_key: str, expression_key: str, reference_key: str | None
) -> list[Target]:
    """Return what columns of predictions are scored against; with a reference the deviation from its mean as well."""
    targets = []
    if k.PROBABILITY in columns:
        targets.append(Target(k.PROBABILITY, label_truth(adata, label_key)))
    if k.LOG_EXPRESSION in columns:
        measured = expression_truth(adata, expression_key)
        targets.append(Target(k.LOG_EXPRESSION, measured))
        # Data without a reference have no deviation; a slot that the caller names must be there.
        if reference_key is not None and (reference_key in adata.obsm or reference_key != k.REFERENCE_EXPRESSION):
            check_unique(adata)
            mean = read_reference(adata, reference_key).mean
            targets.append(Target(k.DEVIATION, measured - mean, pd.Series(mean, index=adata.obs_names)))
    return targets


def as_trainings(prediction: pd.DataFrame | Sequence[pd.DataFrame], name: str) -> list[pd.DataFrame]:
    """Return predictions of one training or several as a list; errors call them ``name``."""
    trainings = [prediction] if isinstance(prediction, pd.DataFrame) else list(prediction)
    if not trainings or not all(isinstance(table, pd.DataFrame) for table in trainings):
        found = ", ".join(dict.fromkeys(type(table).__name__ for table in trainings)) or "empty"
        msg = f"{name} is {found}; expected a table as predict returns, or a list of them, one for each training."
        raise ValueError(msg)
    columns = [scored_columns(table, name) for table in trainings]
    if any(found != columns[0] for found in columns):
        msg = (
            f"{name}: a training predicts {', '.join(columns[0])}, and another one "
            f"{', '.join(next(found for found in columns if found != columns[0]))}; expected the same of all."
        )
        raise ValueError(msg)
    return trainings


def scored_columns(prediction: pd.DataFrame, name: str) -> list[str]:
    """Return the columns of ``prediction`` that can be scored; raise ``ValueError`` when there are none.

    The error calls the prediction ``name``.
    """
    columns = [column for column in (k.PROBABILITY, k.LOG_EXPRESSION) if column in prediction]
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
    both_classes: bool = True,
) -> Sample:
    """Align a column of a prediction with the genes ``inside`` whose truth is known.

    Parameters
    ----------
    adata
        Genes.
    predicted
        ``probability``, ``log_expression`` or ``deviation``, indexed by ``obs_names`` in any order.
    truth
        What was measured, NaN where unknown, ``(n_genes,)``.
    inside
        Which genes are to be scored, ``(n_genes,)``.
    where, prediction
        How errors and the log call these genes, such as ``"split 'test'"``, and this prediction.
    both_classes
        Whether labels of one class are an error.

    Raises
    ------
    ValueError
        When there is no gene or no truth, a gene lacks a prediction or has two, a prediction is not a finite number, a
        probability is outside 0 to 1, or all labels are of one class and ``both_classes`` is true.
    """
    if not predicted.index.is_unique:
        twice = predicted.index[predicted.index.duplicated()]
        msg = f"{prediction} names {len(twice)} genes more than once, such as {twice[0]!r}; expected one row for each."
        raise ValueError(msg)
    rows = _rows_with_truth(truth, inside, where, _NAME_OF_TRUTH[str(predicted.name)])
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
        _check_probability(values, truth[rows], where, both_classes=both_classes)
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


def _check_probability(values: np.ndarray, truth: np.ndarray, where: str, *, both_classes: bool) -> None:
    """Raise ``ValueError`` for values outside 0 to 1, and with ``both_classes`` for labels of one class."""
    if values.min() < 0 or values.max() > 1:
        msg = (
            f"probabilities in {where} run from {values.min():.3g} to {values.max():.3g}; expected 0 to 1. "
            "Turn logits into probabilities with scipy.special.expit."
        )
        raise ValueError(msg)
    if both_classes and len(np.unique(truth)) < len(k.LABELS):
        only = k.LABELS[int(truth[0])]
        msg = (
            f"all {len(truth)} labelled genes in {where} are {only}; AUROC needs both classes. Score other "
            f"splits, or prediction[[{k.LOG_EXPRESSION!r}]] alone."
        )
        raise ValueError(msg)

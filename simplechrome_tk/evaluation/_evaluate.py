"""Score predictions against what was measured, with intervals from resampled genes."""

from __future__ import annotations

import logging
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import gene_ids, label_truth, split_of
from simplechrome_tk.evaluation._metrics import CLASSIFICATION, REGRESSION
from simplechrome_tk.evaluation._resample import (
    Sample,
    check_n_bootstrap,
    interval,
    known,
    recentre,
    resamples,
    score,
    streams,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import anndata as ad

    from simplechrome_tk.evaluation._metrics import Metric

logger = logging.getLogger(__name__)


def evaluate(
    adata: ad.AnnData,
    prediction: pd.DataFrame,
    *,
    splits: Sequence[str] | None = None,
    label_key: str = k.LABEL,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
    n_bootstrap: int = 1_000,
    rng: np.random.Generator | int | None = 0,
) -> pd.DataFrame:
    """Score a prediction on each split, with 95 % bootstrap intervals over genes.

    Genes without a label count neither for nor against a probability, genes without expression neither for nor against
    a predicted expression; ``n`` says how many counted. A gene that is stacked for several cell types is resampled as
    one. The same ``rng`` resamples the same genes for every model, whichever other splits are scored.

    Parameters
    ----------
    adata
        Genes with ``obs[split_key]`` and what was measured.
    prediction
        Table indexed by ``obs_names``, in any order, with ``probability`` of a high label (0 to 1), ``expression`` as
        :func:`simplechrome_tk.pp.log_expression` gives it, or both. Genes beyond ``adata`` are ignored.
    splits
        Splits to score; ``None`` scores those that have genes.
    label_key
        Column of ``obs`` with ``low`` and ``high``.
    expression_key
        Column of ``obs`` with expression in linear units.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``.
    n_bootstrap
        Number of resamples; 0 leaves ``low`` and ``high`` missing.
    rng
        Seed or generator of the resamples.

    Returns
    -------
    pandas.DataFrame
        One row per split and metric: ``split``, ``metric``, ``value``, ``low`` and ``high`` (2.5 and 97.5 percentiles
        of the resamples), ``n`` (genes scored). Metrics are ``AUROC``, ``AUPRC`` (average precision), ``accuracy``
        (high above a probability of 0.5) and ``ECE`` (see Notes) for ``probability``, ``Pearson`` and ``Spearman`` for
        ``expression``. A correlation with a constant is NaN.

    Raises
    ------
    ValueError
        When genes lack a prediction, a probability is outside 0 to 1, or a split has no genes, none with a label or
        expression, or one class only.

    Notes
    -----
    ``ECE`` is the expected calibration error (Naeini et al., AAAI 2015): the mean distance between the probability of
    *high* and the share of high genes over 15 bins (Guo et al., arXiv 1706.04599) of equal count (Nixon et al., arXiv
    1904.01685); lower is better. Chance alone keeps it above 0, the more so the fewer genes: a linear model of
    E116 with labels drawn from its own probabilities has .015 on 2,700 genes and .024 on 1,000. Its resamples are
    shifted to have their median at the value, since drawing genes adds to the error of each bin.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd, simplechrome_tk as sct
    >>> genes = pd.DataFrame({"label": ["low", "high", "low", "high"], "split": "test"}, index=list("abcd"))
    >>> prediction = pd.DataFrame({"probability": [0.1, 0.9, 0.4, 0.3]}, index=list("abcd"))
    >>> sct.evaluation.evaluate(ad.AnnData(obs=genes), prediction, n_bootstrap=0)[["split", "metric", "value", "n"]]
      split    metric     value  n
    0  test     AUROC  0.750000  4
    1  test     AUPRC  0.833333  4
    2  test  accuracy  0.750000  4
    3  test       ECE  0.325000  4
    """
    check_n_bootstrap(n_bootstrap)
    split = split_of(adata, split_key)
    chosen = choose_splits(split, splits, split_key)
    tasks = scored(label_key, expression_key)
    columns = scorable(prediction, what="prediction")
    generators = streams(rng, list(tasks))
    ids = gene_ids(adata)
    rows = []
    for name, column in product(chosen, columns):
        task = tasks[column]
        pairs = pair(adata, prediction[column], task.truth(adata), split == name, name=name)
        draws = resamples(ids[pairs.rows], n_bootstrap, generators[name, column])
        sample = Sample(pairs.truth, pairs.predicted, slice(None))
        for metric, values in score({"": sample}, task.metrics, draws)[""].items():
            resampled = recentre(known(values[1:], f"{metric} of {name}"), values[0], metric, floor=0.0)
            rows.append((name, metric, values[0], *interval(resampled), len(pairs.truth)))
    return pd.DataFrame(rows, columns=["split", "metric", "value", "low", "high", "n"])


class Task(NamedTuple):
    """What a column of a prediction is scored against, and how."""

    truth: Callable[[ad.AnnData], np.ndarray]
    metrics: dict[str, Metric]


def scored(label_key: str, expression_key: str) -> dict[str, Task]:
    """Return the columns of a prediction that can be scored."""
    return {
        k.PROBABILITY: Task(lambda adata: label_truth(adata, label_key), CLASSIFICATION),
        k.LOG_EXPRESSION: Task(lambda adata: expression_truth(adata, expression_key), REGRESSION),
    }


def scorable(prediction: pd.DataFrame, *, what: str) -> list[str]:
    """Return the columns of ``prediction`` that can be scored, or raise a ``ValueError`` without any."""
    columns = [column for column in (k.PROBABILITY, k.LOG_EXPRESSION) if column in prediction]
    if not columns:
        msg = (
            f"{what} has columns {', '.join(map(str, prediction)) or 'none'}; expected {k.PROBABILITY!r}, "
            f"{k.LOG_EXPRESSION!r} or both, as SimpleChrome.predict and sct.evaluation.fit_baseline return."
        )
        raise ValueError(msg)
    return columns


class Pairs(NamedTuple):
    """What was measured and what was predicted, aligned, shape ``(n,)`` each; ``rows`` of ``adata`` they are from."""

    truth: np.ndarray
    predicted: np.ndarray
    rows: np.ndarray


def pair(
    adata: ad.AnnData,
    predicted: pd.Series,
    truth: np.ndarray,
    inside: np.ndarray,
    *,
    name: str,
    cell: str = "",
    model: str = "",
) -> Pairs:
    """Align a column of a prediction with those of the genes ``inside`` that have a truth.

    A message calls these genes the split ``name``, of the ``cell`` type, and the prediction that of the ``model``,
    where they have a name.
    """
    where = f"split {name!r}" + (f" of {cell}" if cell else "")
    prediction = f"prediction {model!r}" if model else "prediction"
    if not predicted.index.is_unique:
        twice = predicted.index[predicted.index.duplicated()]
        msg = f"{prediction} names {len(twice)} genes more than once, such as {twice[0]!r}; expected one row for each."
        raise ValueError(msg)
    if not inside.any():
        msg = f"no gene is in {where}; name other splits, or split anew with sct.pp.split_by_chromosome(adata)."
        raise ValueError(msg)
    rows = np.flatnonzero(inside & ~np.isnan(truth))
    what = "label" if predicted.name == k.PROBABILITY else "expression"
    if not len(rows):
        msg = f"no {what} is known for any of the {int(inside.sum())} genes in {where}; score other splits."
        raise ValueError(msg)
    if len(rows) < inside.sum():
        short = f"{name} of {cell}" if cell else name
        logger.info("%s: %d of %d genes have no %s.", short, inside.sum() - len(rows), inside.sum(), what)
    wanted = adata.obs_names[rows]
    missing = wanted[~wanted.isin(predicted.index)]
    if len(missing):
        msg = (
            f"{prediction} lacks {len(missing)} of the {len(wanted)} genes in {where}, such as "
            f"{', '.join(missing[:3])}; expected an index of obs_names. Predict this AnnData, or subset it first."
        )
        raise ValueError(msg)
    values = predicted.loc[wanted].to_numpy(float)
    bad = ~np.isfinite(values)
    if bad.any():
        msg = (
            f"{prediction}: {int(bad.sum())} of {len(values)} predictions of {predicted.name!r} in {where} are missing "
            f"or infinite, such as that of {wanted[bad][0]!r}; expected a number for every gene."
        )
        raise ValueError(msg)
    if predicted.name == k.PROBABILITY:
        _check_probability(values, truth[rows], where)
    return Pairs(truth[rows], values, rows)


def _check_probability(values: np.ndarray, truth: np.ndarray, where: str) -> None:
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
            "splits, or prediction[['expression']] alone."
        )
        raise ValueError(msg)


def choose_splits(split: np.ndarray, splits: Sequence[str] | None, split_key: str) -> list[str]:
    if splits is None:
        return [name for name in k.SPLITS if (split == name).any()]
    chosen = [splits] if isinstance(splits, str) else list(splits)
    unknown = [str(name) for name in chosen if name not in k.SPLITS]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        msg = (
            f"splits asked for: {', '.join(map(str, chosen)) or 'none'}; choose from {', '.join(k.SPLITS)}, each once. "
            f"They are read from obs[{split_key!r}]."
        )
        raise ValueError(msg)
    return chosen

"""Score predictions against what was measured, with intervals from resampled genes."""

from __future__ import annotations

import logging
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk import _keys as k
from simplechrome_tk._require import label_truth, split_of
from simplechrome_tk.pp._label import expression_truth
from simplechrome_tk.pp._split import gene_ids
from simplechrome_tk.tl._metrics import accuracy, auprc, auroc, pearson, spearman

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad

    from simplechrome_tk.tl._metrics import Metric

logger = logging.getLogger(__name__)

PROBABILITY = "probability"

_WEIGHTS_AT_ONCE = 1_000_000


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
        of the resamples), ``n`` (genes scored). Metrics are ``AUROC``, ``AUPRC`` (average precision) and ``accuracy``
        (high above a probability of 0.5) for ``probability``, ``Pearson`` and ``Spearman`` for ``expression``. A
        correlation with a constant is NaN.

    Raises
    ------
    ValueError
        When genes lack a prediction, a probability is outside 0 to 1, or a split has no genes, none with a label or
        expression, or one class only.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd, simplechrome_tk as sct
    >>> genes = pd.DataFrame({"label": ["low", "high", "low", "high"], "split": "test"}, index=list("abcd"))
    >>> prediction = pd.DataFrame({"probability": [0.1, 0.9, 0.4, 0.3]}, index=list("abcd"))
    >>> sct.tl.evaluate(ad.AnnData(obs=genes), prediction, n_bootstrap=0)[["split", "metric", "value", "n"]]
      split    metric     value  n
    0  test     AUROC  0.750000  4
    1  test     AUPRC  0.833333  4
    2  test  accuracy  0.750000  4
    """
    if n_bootstrap < 0:
        msg = f"n_bootstrap is {n_bootstrap}; expected 0 or more."
        raise ValueError(msg)
    split = split_of(adata, split_key)
    chosen = _choose(split, splits, split_key)
    tasks = {
        PROBABILITY: (label_truth, label_key, {"AUROC": auroc, "AUPRC": auprc, "accuracy": accuracy}),
        k.EXPRESSION: (expression_truth, expression_key, {"Pearson": pearson, "Spearman": spearman}),
    }
    columns = [column for column in tasks if column in prediction]
    if not columns:
        msg = (
            f"prediction has columns {', '.join(map(str, prediction)) or 'none'}; expected {PROBABILITY!r}, "
            f"{k.EXPRESSION!r} or both, as SimpleChrome.predict and sct.tl.fit_baseline return."
        )
        raise ValueError(msg)
    streams = dict(zip(product(k.SPLITS, tasks), np.random.default_rng(rng).spawn(len(k.SPLITS) * 2), strict=True))
    ids = gene_ids(adata)
    rows = []
    for name, column in product(chosen, columns):
        measure, key, metrics = tasks[column]
        pairs = pair(adata, prediction[column], measure(adata, key), split == name, name=name)
        everything = np.ones((1, len(pairs.truth)))
        resampled = _bootstrap(pairs, metrics, ids[pairs.rows], n_bootstrap, streams[name, column])
        for metric, function in metrics.items():
            value = function(pairs.truth, pairs.predicted, everything)[0]
            low, high = _interval(resampled[metric], f"{metric} of {name}")
            rows.append((name, metric, value, low, high, len(pairs.truth)))
    return pd.DataFrame(rows, columns=["split", "metric", "value", "low", "high", "n"])


class Pairs(NamedTuple):
    """What was measured and what was predicted, aligned, shape ``(n,)`` each; ``rows`` of ``adata`` they are from."""

    truth: np.ndarray
    predicted: np.ndarray
    rows: np.ndarray


def pair(adata: ad.AnnData, predicted: pd.Series, truth: np.ndarray, inside: np.ndarray, *, name: str) -> Pairs:
    """Align a column of a prediction with the genes of the split ``name``, the rows ``inside``, that have a truth."""
    if not predicted.index.is_unique:
        twice = predicted.index[predicted.index.duplicated()]
        msg = f"prediction names {len(twice)} genes more than once, such as {twice[0]!r}; expected one row for each."
        raise ValueError(msg)
    if not inside.any():
        msg = f"no gene is in split {name!r}; name other splits, or split anew with sct.pp.split_by_chromosome(adata)."
        raise ValueError(msg)
    rows = np.flatnonzero(inside & ~np.isnan(truth))
    what = "label" if predicted.name == PROBABILITY else "expression"
    if not len(rows):
        msg = f"no {what} is known for any of the {int(inside.sum())} genes in split {name!r}; score other splits."
        raise ValueError(msg)
    if len(rows) < inside.sum():
        logger.info("%s: %d of %d genes have no %s.", name, inside.sum() - len(rows), inside.sum(), what)
    wanted = adata.obs_names[rows]
    missing = wanted[~wanted.isin(predicted.index)]
    if len(missing):
        msg = (
            f"prediction lacks {len(missing)} of the {len(wanted)} genes in split {name!r}, such as "
            f"{', '.join(missing[:3])}; expected an index of obs_names. Predict this AnnData, or subset it first."
        )
        raise ValueError(msg)
    values = predicted.loc[wanted].to_numpy(float)
    bad = ~np.isfinite(values)
    if bad.any():
        msg = (
            f"{int(bad.sum())} of {len(values)} predictions of {predicted.name!r} in split {name!r} are missing or "
            f"infinite, such as that of {wanted[bad][0]!r}; expected a number for every gene."
        )
        raise ValueError(msg)
    if predicted.name == PROBABILITY:
        _check_probability(values, truth[rows], name)
    return Pairs(truth[rows], values, rows)


def _check_probability(values: np.ndarray, truth: np.ndarray, name: str) -> None:
    if values.min() < 0 or values.max() > 1:
        msg = (
            f"probabilities in split {name!r} run from {values.min():.3g} to {values.max():.3g}; expected 0 to 1. "
            "Turn logits into probabilities with scipy.special.expit."
        )
        raise ValueError(msg)
    if len(np.unique(truth)) < len(k.LABELS):
        only = k.LABELS[int(truth[0])]
        msg = (
            f"all {len(truth)} labelled genes in split {name!r} are {only}; AUROC needs both classes. Score other "
            "splits, or prediction[['expression']] alone."
        )
        raise ValueError(msg)


def _choose(split: np.ndarray, splits: Sequence[str] | None, split_key: str) -> list[str]:
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


def _bootstrap(
    pairs: Pairs, metrics: Mapping[str, Metric], ids: pd.Index, n_bootstrap: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Each metric on resampled genes, shape ``(n_bootstrap,)``. A resample is how often each gene was drawn."""
    unit, genes = pd.factorize(ids)
    step = max(1, _WEIGHTS_AT_ONCE // len(unit))
    parts: dict[str, list[np.ndarray]] = {metric: [np.empty(0)] for metric in metrics}
    for start in range(0, n_bootstrap, step):
        size = min(step, n_bootstrap - start)
        drawn = rng.integers(len(genes), size=(size, len(genes))) + np.arange(size)[:, None] * len(genes)
        times = np.bincount(drawn.ravel(), minlength=size * len(genes)).reshape(size, len(genes))
        weights = times[:, unit].astype(float)
        for metric, function in metrics.items():
            parts[metric].append(function(pairs.truth, pairs.predicted, weights))
    return {metric: np.concatenate(values) for metric, values in parts.items()}


def _interval(resampled: np.ndarray, what: str) -> tuple[float, float]:
    known = resampled[~np.isnan(resampled)]
    if len(known) < len(resampled):
        logger.warning(
            "%s: undefined in %d of %d resamples, which are left out.",
            what,
            len(resampled) - len(known),
            len(resampled),
        )
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)

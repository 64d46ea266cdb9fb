"""Metrics of a prediction, with intervals from resampled genes."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_ids, split_of
from simplechrome_tk.evaluation._align import align, choose_splits, read_truth, scored_columns
from simplechrome_tk.evaluation._metrics import METRICS
from simplechrome_tk.evaluation._resample import (
    check_n_bootstrap,
    draw_weights,
    drop_undefined,
    interval,
    recentre,
    score_samples,
    spawn_generators,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad


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

    Genes without a label are left out of the metrics of the probability, genes without expression out of those of
    expression; ``n`` is the number of genes that counted. A gene that is stacked for several cell types is resampled
    as one. The same ``rng`` resamples the same genes for every model, whichever other splits are scored.

    Parameters
    ----------
    adata
        Genes with ``obs[split_key]`` and what was measured.
    prediction
        Table indexed by ``obs_names``, in any order, with ``probability`` of a high label (0 to 1), ``log_expression``
        (:func:`simplechrome_tk.pp.log_expression`), or both. Genes that are not in ``adata`` are ignored.
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
        ``log_expression``. A correlation with a constant is NaN.

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
    >>> import anndata as ad, numpy as np, pandas as pd
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
    names = choose_splits(split, splits, split_key)
    columns = scored_columns(prediction, "prediction")
    truth = {
        column: read_truth(adata, column, label_key=label_key, expression_key=expression_key) for column in columns
    }
    generators = spawn_generators(rng, list(METRICS))
    ids = gene_ids(adata)
    rows = []
    for name, column in product(names, columns):
        sample = align(adata, prediction[column], truth[column], split == name, where=f"split {name!r}")
        draws = draw_weights(ids[sample.rows], n_bootstrap, generators[name, column])
        # The draws have one column for each gene of the sample, in its order.
        drawn = sample._replace(rows=np.arange(len(sample.rows)))
        for metric, values in score_samples({"": drawn}, METRICS[column], draws)[""].items():
            resampled = drop_undefined(values[1:], f"{metric} of {name}")
            resampled = recentre(resampled, values[0], metric, floor=0.0)
            rows.append((name, metric, values[0], *interval(resampled), len(sample.rows)))
    return pd.DataFrame(rows, columns=["split", "metric", "value", "low", "high", "n"])

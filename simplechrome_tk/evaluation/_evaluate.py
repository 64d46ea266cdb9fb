"""Metrics of a prediction, with intervals from resampled genes."""

from __future__ import annotations

import logging
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_ids, obs_column, split_of
from simplechrome_tk.evaluation._align import align, as_trainings, choose_splits, read_targets, scored_columns
from simplechrome_tk.evaluation._metrics import METRICS
from simplechrome_tk.evaluation._resample import (
    check_n_bootstrap,
    draw_seeds,
    draw_weights,
    drop_undefined,
    interval,
    mean_over_seeds,
    recentre,
    score_samples,
    spawn_generators,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import anndata as ad

    from simplechrome_tk.evaluation._align import Sample, Target
    from simplechrome_tk.evaluation._metrics import Metric

logger = logging.getLogger(__name__)

_SCORES = ("metric", "value", "low", "high", "n")


def evaluate(
    adata: ad.AnnData,
    prediction: pd.DataFrame | Sequence[pd.DataFrame],
    *,
    splits: Sequence[str] | None = None,
    groupby: str | None = None,
    label_key: str = k.LABEL,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
    reference_key: str | None = k.REFERENCE_EXPRESSION,
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
        (:func:`simplechrome_tk.pp.log_expression`), or both. Genes that are not in ``adata`` are ignored. A list of
        such tables, one for each training of a model with another seed, is scored as described in the notes.
    splits
        Splits to score; ``None`` scores those that have genes.
    groupby
        Column of ``obs`` with groups of genes, such as those of :func:`simplechrome_tk.pp.gene_strata`, which are
        scored one by one. Genes without a group are left out and counted in the log. In a group whose labels are of one
        class, ``AUROC`` is NaN. A group of which nothing is measured has no rows, and one in which all genes have the
        same expression, such as zero, no ``deviation``; both are named in the log.
    label_key
        Column of ``obs`` with ``low`` and ``high``.
    expression_key
        Column of ``obs`` with expression in linear units.
    split_key
        Column of ``obs`` with ``train``, ``valid`` and ``test``.
    reference_key
        Key of ``obsm`` with log expression in reference samples, for the ``deviation``; ``None`` leaves it out, as do
        data without ``obsm["reference_expression"]``.
    n_bootstrap
        Number of resamples; 0 leaves ``low`` and ``high`` missing.
    rng
        Seed or generator of the resamples.

    Returns
    -------
    pandas.DataFrame
        One row per split and metric: ``split``, ``metric``, ``value``, ``low`` and ``high`` (2.5 and 97.5 percentiles
        of the resamples), ``n`` (genes scored); with ``groupby`` one per split, group and metric, and a column of that
        name. Metrics are ``AUROC``, ``AUPRC`` (average precision), ``accuracy`` (high above a probability of 0.5) and
        ``ECE`` (see Notes) for ``probability``, ``Pearson``, ``Spearman`` and ``deviation`` (see Notes) for
        ``log_expression``. A correlation with a constant is NaN.

    Raises
    ------
    ValueError
        When genes lack a prediction, a probability is outside 0 to 1, a split has no genes, none with a label or
        expression, or one class only, ``groupby`` or a named reference is missing, or trainings predict different
        columns.

    Notes
    -----
    ``deviation`` is the Pearson correlation of predicted and measured log expression, each minus the mean of the gene
    over the reference samples. It asks how well a model predicts what is special about this cell type: most of the
    variance of expression lies between genes and not between cell types, so that the mean of other cell types alone
    reaches a high ``Pearson``, and has no ``deviation``. Genes without a reference have none either. Although the mean
    is in both terms, a prediction of one value for all genes has a ``deviation`` near 0: .03, -.03 and -.06 in E116,
    E123 and E117, over 53 other epigenomes.

    With several trainings, each ``value`` is the mean of their scores, which is not the score of their mean prediction.
    Each resample then draws genes and trainings together (a bootstrap on two levels): of ``s`` trainings it draws
    ``s - 1`` with replacement, so that the mean varies by as much as the mean of ``s`` new trainings would. The
    interval therefore holds for new genes and new trainings.

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
    trainings = as_trainings(prediction, "prediction")
    split = split_of(adata, split_key)
    names = choose_splits(split, splits, split_key)
    targets = read_targets(
        adata,
        scored_columns(trainings[0], "prediction"),
        label_key=label_key,
        expression_key=expression_key,
        reference_key=reference_key,
    )
    groups = _read_groups(adata, groupby)
    generators = spawn_generators(rng)
    # A group has resamples of its own, the same whichever other splits are scored.
    drawn = {key: [generator, *generator.spawn(len(groups))] for key, generator in generators.items()}
    rows = []
    for name, (place, (group, members)), target in product(names, enumerate(groups.items()), targets):
        inside = members & (split == name)
        where = f"split {name!r}" if groupby is None else f"split {name!r} of {groupby} {group!r}"
        if groupby is not None and (reason := _reason_to_skip(target, inside)):
            logger.info("%s: %s; its %s is not scored.", where, reason, target.name)
            continue
        samples = {
            seed: align(adata, target.of(table), target.truth, inside, where=where, both_classes=groupby is None)
            for seed, table in enumerate(trainings)
        }
        draws = _Draws(gene_ids(adata), n_bootstrap, drawn[name, target.name][0 if groupby is None else place + 1])
        rows += [(name, group, *row) for row in _score(samples, METRICS[target.name], draws, where)]
    table = pd.DataFrame(rows, columns=["split", groupby or "", *_SCORES])
    if groupby is None:
        return table.drop(columns="")
    return table.assign(**{groupby: pd.Categorical(table[groupby], categories=list(groups), ordered=True)})


class _Draws(NamedTuple):
    """How to resample: the id of each gene of ``adata``, the number of resamples, and the generator."""

    ids: pd.Index
    n: int
    rng: np.random.Generator


def _score(
    samples: Mapping[int, Sample], metrics: Mapping[str, Metric], draws: _Draws, where: str
) -> Iterator[tuple[str, float, float, float, int]]:
    """Yield each metric with its value, the ends of its interval, and the number of genes.

    ``samples`` are the same genes as several trainings predict them.
    """
    rows = samples[0].rows
    share = draw_seeds(len(samples), draws.n, draws.rng.spawn(1)[0])
    weights = draw_weights(draws.ids[rows], draws.n, draws.rng)
    # The draws have one column for each gene of the sample, in its order.
    own = {seed: sample._replace(rows=np.arange(len(rows))) for seed, sample in samples.items()}
    scores = score_samples(own, metrics, weights)
    for metric in metrics:
        values = mean_over_seeds([scores[seed][metric] for seed in samples], share)
        resampled = drop_undefined(values[1:], values[0], f"{metric} of {where}")
        resampled = recentre(resampled, values[0], metric, floor=0.0)
        yield metric, values[0], *interval(resampled), len(rows)


def _reason_to_skip(target: Target, inside: np.ndarray) -> str:
    """Return why a group of genes is not scored; an empty string where it is."""
    truth = target.truth[inside]
    if np.isnan(truth).all():
        return f"none of {len(truth)} genes is measured"
    if target.offset is None:
        return ""
    # With one measured value, such as zero, the deviations of truth and prediction are both those of the reference.
    measured = truth + target.offset.to_numpy()[inside]
    constant = np.nanmax(measured) - np.nanmin(measured) < 1e-6
    return f"all of {len(truth)} genes have the same expression" if constant else ""


def _read_groups(adata: ad.AnnData, groupby: str | None) -> dict[object, np.ndarray]:
    """Return which genes each group has, ``(n_genes,)`` each; without ``groupby`` one group of all genes."""
    if groupby is None:
        return {"": np.ones(adata.n_obs, dtype=bool)}
    if groupby in ("split", *_SCORES):
        msg = f"groupby is {groupby!r}, which is a column of the scores; rename the column of obs."
        raise ValueError(msg)
    column = obs_column(adata, groupby, fix="name a column with groups of genes, such as those of sct.pp.gene_strata")
    groups = column.astype("category")
    if missing := int(groups.isna().sum()):
        logger.info("%d of %d genes have no %s; no group has them.", missing, adata.n_obs, groupby)
    return {name: (groups == name).to_numpy() for name in groups.cat.categories}

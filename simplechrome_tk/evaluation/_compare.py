"""Paired comparison of models on the same genes, to tell a better model from a lucky one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.require import cell_types, gene_ids, split_of
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
    from collections.abc import Iterator, Sequence

    import anndata as ad

    from simplechrome_tk.evaluation._align import Sample
    from simplechrome_tk.evaluation._metrics import Metric

Unit = Literal["gene", "block"]

MEAN = "mean"
"""Name of the rows that hold the mean over cell types."""

_COLUMNS = [
    *("model", "reference", "split", "cell_type", "metric", "value", "reference_value"),
    *("difference", "low", "high", "share_above", "n"),
]


def compare(
    adata: ad.AnnData,
    predictions: Mapping[str, pd.DataFrame],
    *,
    reference: str | None = None,
    splits: Sequence[str] | None = ("test",),
    unit: Unit = "gene",
    block_size: int = 1_000_000,
    label_key: str = k.LABEL,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
    n_bootstrap: int = 1_000,
    rng: np.random.Generator | int | None = 0,
) -> pd.DataFrame:
    """Bootstrap the differences between models, in pairs: both models are scored on the same resampled genes.

    The same genes are hard for every model, so that the intervals of two models (:func:`evaluate`) can overlap where
    their difference is beyond doubt. An interval of the difference holds for new genes, not for new trainings of the
    models.

    Parameters
    ----------
    adata
        Genes with ``obs[split_key]`` and what was measured; one cell type or several, stacked.
    predictions
        For each model a table as for :func:`evaluate`. Two models are compared on the columns that both have.
    reference
        Compare each other model with this one. ``None`` compares every two models, the later with the earlier.
    splits
        Splits to score; ``None`` scores those that have genes.
    unit
        The unit that is drawn with replacement, from all chromosomes of the split alike. ``"gene"`` draws a gene with
        all its cell types. ``"block"`` draws all genes whose TSS lies in the same block of a chromosome: neighbouring
        genes are often right or wrong together, and the intervals are wider.
    block_size
        Length of such a block, in bp.
    label_key, expression_key, split_key
        Columns of ``obs`` with ``low`` and ``high``, with expression in linear units, with ``train``, ``valid`` and
        ``test``.
    n_bootstrap
        Number of resamples; 0 leaves ``low``, ``high`` and ``share_above`` missing.
    rng
        Seed or generator of the resamples, which are those of :func:`evaluate` with the same ``rng``.

    Returns
    -------
    pandas.DataFrame
        One row per two models, split, metric and cell type: ``model``, ``reference``, ``split``, ``cell_type`` (with
        several also ``"mean"``, the mean over them), ``metric`` as in :func:`evaluate`, ``value``, ``reference_value``,
        ``difference`` (the first minus the second), ``low`` and ``high`` (2.5 and 97.5 percentiles of the difference
        over the resamples), ``share_above`` (share of resamples in which the difference is above 0; where it is 0, a
        resample counts half) and ``n`` (genes scored; for the mean their sum over cell types). A lower ``ECE`` is
        better, and higher values of all other metrics.

    Raises
    ------
    ValueError
        When there are fewer than two models, the reference is none of them, no two share a column, ``unit`` is unknown,
        or for a model and cell type as :func:`evaluate`.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd
    >>> genes = pd.DataFrame({"label": ["low", "high"] * 50, "split": "test"}, index=[f"g{i}" for i in range(100)])
    >>> noise = np.random.default_rng(0).random(100)
    >>> good = pd.DataFrame({"probability": np.tile([0.1, 0.5], 50) + 0.5 * noise}, index=genes.index)
    >>> guess = pd.DataFrame({"probability": noise}, index=genes.index)
    >>> table = sct.evaluation.compare(ad.AnnData(obs=genes), {"guess": guess, "good": good})
    >>> table[["model", "reference", "metric", "value", "reference_value"]].round(2).head(1)
      model reference metric  value  reference_value
    0  good     guess  AUROC   0.98             0.54
    >>> bool(table["low"][0] > 0)
    True
    """
    check_n_bootstrap(n_bootstrap)
    contrasts = _contrasts(predictions, reference)
    split = split_of(adata, split_key)
    names = choose_splits(split, splits, split_key)
    columns_of = {model: scored_columns(table, f"prediction {model!r}") for model, table in predictions.items()}
    units = _name_units(adata, unit, block_size)
    generators = spawn_generators(rng, list(METRICS))
    rows = []
    for name, column in product(names, METRICS):
        contrasts_here = [two for two in contrasts if all(column in columns_of[model] for model in two)]
        if not contrasts_here:
            continue
        models = {model: predictions[model][column] for two in contrasts_here for model in two}
        truth = read_truth(adata, column, label_key=label_key, expression_key=expression_key)
        samples = _align_models(adata, models, truth, split == name, name)
        draws = _Draws(units, n_bootstrap, generators[name, column])
        rows += [(*two, name, *row) for two, row in _differences(samples, METRICS[column], contrasts_here, draws, name)]
    if not rows:
        msg = (
            f"no two of the models {', '.join(predictions)} predict the same; each has {k.PROBABILITY} or "
            f"{k.LOG_EXPRESSION} alone."
        )
        raise ValueError(msg)
    return pd.DataFrame(rows, columns=_COLUMNS)


class _Draws(NamedTuple):
    """How to resample: the unit of each row of ``adata``, the number of resamples, and the generator."""

    units: pd.Index
    n: int
    rng: np.random.Generator


def _contrasts(predictions: Mapping[str, pd.DataFrame], reference: str | None) -> list[tuple[str, str]]:
    """Return pairs of a model and its reference."""
    if not isinstance(predictions, Mapping) or len(predictions) < 2:
        found = f"is a {type(predictions).__name__}"
        if isinstance(predictions, Mapping):
            found = f"holds {', '.join(predictions) or 'none'}"
        msg = f"predictions {found}; expected two predictions or more, by name: {{'a': ..., 'b': ...}}."
        raise ValueError(msg)
    if reference is None:
        return [(later, earlier) for earlier, later in combinations(predictions, 2)]
    if reference not in predictions:
        msg = f"reference {reference!r} is not among the models: {', '.join(predictions)}."
        raise ValueError(msg)
    return [(name, reference) for name in predictions if name != reference]


def _name_units(adata: ad.AnnData, unit: str, block_size: int) -> pd.Index:
    """Name the unit that each gene is drawn with, ``(n_genes,)``."""
    if unit not in get_args(Unit) or block_size < 1:
        msg = f"unit is {unit!r} and block_size {block_size}; expected {' or '.join(get_args(Unit))}, and 1 bp or more."
        raise ValueError(msg)
    if unit == "gene":
        return gene_ids(adata)
    where = positions(adata)
    return pd.Index([f"{chrom}:{block:.0f}" for chrom, block in zip(where.chrom, where.tss // block_size, strict=True)])


def _align_models(
    adata: ad.AnnData, models: Mapping[str, pd.Series], truth: np.ndarray, inside: np.ndarray, name: str
) -> dict[tuple[str, str], Sample]:
    """Return the genes to score for each model and cell type, of the split ``name``."""
    cells = cell_types(adata)
    where = dict.fromkeys(cells.unique(), f"split {name!r}")
    if k.CELL_TYPE in adata.obs:
        where = {cell: f"{split} of {cell}" for cell, split in where.items()}
    return {
        (model, cell): align(
            adata,
            predicted,
            truth,
            inside & (cells == cell).to_numpy(),
            where=where[cell],
            prediction=f"prediction {model!r}",
        )
        for model, predicted in models.items()
        for cell in where
    }


def _differences(
    samples: Mapping[tuple[str, str], Sample],
    metrics: Mapping[str, Metric],
    contrasts: Sequence[tuple[str, str]],
    draws: _Draws,
    name: str,
) -> Iterator[tuple[tuple[str, str], tuple[object, ...]]]:
    """Yield each two models with a row: cell type, metric, values, difference, interval, share, genes."""
    rows_of = {cell: sample.rows for (_, cell), sample in samples.items()}  # the same for every model
    rows = np.unique(np.concatenate(list(rows_of.values())))
    # Draws have one column for each row that any cell type scores.
    drawn = {key: sample._replace(rows=np.searchsorted(rows, sample.rows)) for key, sample in samples.items()}
    scores = score_samples(drawn, metrics, draw_weights(draws.units[rows], draws.n, draws.rng))
    groups = {cell: [cell] for cell in rows_of}
    if len(rows_of) > 1:
        groups[MEAN] = list(rows_of)
    for two, metric, (cell, members) in product(contrasts, metrics, groups.items()):
        ours, theirs = (np.mean([scores[model, each][metric] for each in members], axis=0) for model in two)
        difference = ours - theirs
        resampled = drop_undefined(difference[1:], f"{metric} of {two[0]} and {two[1]} on {name} of {cell}")
        resampled = recentre(resampled, difference[0], metric)
        above = float(np.mean((resampled > 0) + 0.5 * (resampled == 0))) if len(resampled) else np.nan
        n = sum(len(rows_of[each]) for each in members)
        yield two, (cell, metric, ours[0], theirs[0], difference[0], *interval(resampled), above, n)

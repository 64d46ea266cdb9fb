"""Paired comparison of models on the same genes, to tell a better model from a lucky one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.require import cell_type_key, cell_types, gene_ids, split_of
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
    from collections.abc import Iterator, Sequence

    import anndata as ad

    from simplechrome_tk.evaluation._align import Sample, Target
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
    predictions: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    *,
    reference: str | None = None,
    splits: Sequence[str] | None = ("test",),
    unit: Unit = "gene",
    block_size: int = 1_000_000,
    label_key: str = k.LABEL,
    expression_key: str = k.EXPRESSION,
    split_key: str = k.SPLIT,
    reference_key: str | None = k.REFERENCE_EXPRESSION,
    n_bootstrap: int = 1_000,
    rng: np.random.Generator | int | None = 0,
) -> pd.DataFrame:
    """Bootstrap the differences between models, in pairs: both models are scored on the same resampled genes.

    The same genes are hard for every model, so that the intervals of two models (:func:`evaluate`) can overlap where
    their difference is beyond doubt. An interval of the difference holds for new genes, and for new trainings of the
    models only where several of them are given.

    Parameters
    ----------
    adata
        Genes with ``obs[split_key]`` and what was measured; one cell type or several, stacked.
    predictions
        For each model a table as for :func:`evaluate`, or a list of tables, one for each training with another seed.
        Two models are compared on the columns that both have. Each resample draws the trainings of a model as in
        :func:`evaluate`, for every model on its own.
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
    reference_key
        Key of ``obsm`` with log expression in reference samples, for the ``deviation`` as in :func:`evaluate`.
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
    trainings = {model: as_trainings(tables, f"prediction {model!r}") for model, tables in predictions.items()}
    columns_of = {model: scored_columns(tables[0], f"prediction {model!r}") for model, tables in trainings.items()}
    both = {two: [column for column in columns_of[two[0]] if column in columns_of[two[1]]] for two in contrasts}
    columns = list(dict.fromkeys(column for shared in both.values() for column in shared))
    targets = read_targets(
        adata, columns, label_key=label_key, expression_key=expression_key, reference_key=reference_key
    )
    units = _name_units(adata, unit, block_size)
    generators = spawn_generators(rng)
    rows = []
    for name, target in product(names, targets):
        contrasts_here = [two for two, shared in both.items() if target.column in shared]
        models = {model: trainings[model] for two in contrasts_here for model in two}
        samples = _align_models(adata, models, target, split == name, name)
        draws = _Draws(units, n_bootstrap, generators[name, target.name])
        found = _differences(samples, METRICS[target.name], contrasts_here, draws, name)
        rows += [(*two, name, *row) for two, row in found]
    if not rows:
        msg = (
            f"no two of the models {', '.join(predictions)} predict the same; each has {k.PROBABILITY} or "
            f"{k.LOG_EXPRESSION} alone."
        )
        raise ValueError(msg)
    return pd.DataFrame(rows, columns=_COLUMNS)


class _Key(NamedTuple):
    """Name of a model, number of its training, and cell type."""

    model: str
    seed: int
    cell: str


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
    adata: ad.AnnData, models: Mapping[str, Sequence[pd.DataFrame]], target: Target, inside: np.ndarray, name: str
) -> dict[_Key, Sample]:
    """Return the genes to score for each model, training and cell type, of the split ``name``."""
    cells = cell_types(adata)
    where = dict.fromkeys(cells.unique(), f"split {name!r}")
    if cell_type_key(adata) is not None:
        where = {cell: f"{split} of {cell}" for cell, split in where.items()}
    return {
        _Key(model, seed, cell): align(
            adata,
            target.of(table),
            target.truth,
            inside & (cells == cell).to_numpy(),
            where=where[cell],
            prediction=f"prediction {model!r}",
        )
        for model, tables in models.items()
        for seed, table in enumerate(tables)
        for cell in where
    }


def _differences(
    samples: Mapping[_Key, Sample],
    metrics: Mapping[str, Metric],
    contrasts: Sequence[tuple[str, str]],
    draws: _Draws,
    name: str,
) -> Iterator[tuple[tuple[str, str], tuple[object, ...]]]:
    """Yield each two models with a row: cell type, metric, values, difference, interval, share, genes."""
    rows_of = {key.cell: sample.rows for key, sample in samples.items()}  # the same for every model
    scores = _score_models(samples, metrics, draws)
    groups = {cell: [cell] for cell in rows_of}
    if len(rows_of) > 1:
        groups[MEAN] = list(rows_of)
    for two, metric, (cell, members) in product(contrasts, metrics, groups.items()):
        ours, theirs = (np.mean([scores[model, each, metric] for each in members], axis=0) for model in two)
        difference = ours - theirs
        what = f"{metric} of {two[0]} and {two[1]} on {name} of {cell}"
        resampled = drop_undefined(difference[1:], difference[0], what)
        resampled = recentre(resampled, difference[0], metric)
        above = float(np.mean((resampled > 0) + 0.5 * (resampled == 0))) if len(resampled) else np.nan
        n = sum(len(rows_of[each]) for each in members)
        yield two, (cell, metric, ours[0], theirs[0], difference[0], *interval(resampled), above, n)


def _score_models(
    samples: Mapping[_Key, Sample], metrics: Mapping[str, Metric], draws: _Draws
) -> dict[tuple[str, str, str], np.ndarray]:
    """Return the scores on all genes and on each resample, by model, cell type and metric: means over trainings."""
    rows = np.unique(np.concatenate([sample.rows for sample in samples.values()]))
    # Draws have one column for each row that any cell type scores.
    drawn = {key: sample._replace(rows=np.searchsorted(rows, sample.rows)) for key, sample in samples.items()}
    models = {key.model: key.seed + 1 for key in samples}
    shares = {
        model: draw_seeds(n_seeds, draws.n, generator)
        for (model, n_seeds), generator in zip(models.items(), draws.rng.spawn(len(models)), strict=True)
    }
    scores = score_samples(drawn, metrics, draw_weights(draws.units[rows], draws.n, draws.rng))
    return {
        (model, cell, metric): mean_over_seeds(
            [scores[_Key(model, seed, cell)][metric] for seed in range(n_seeds)], shares[model]
        )
        for model, n_seeds in models.items()
        for cell in dict.fromkeys(key.cell for key in samples)
        for metric in metrics
    }

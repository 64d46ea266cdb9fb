"""Compare models on the same genes, to tell a better one from one that was lucky in the genes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, product
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.require import cell_types, gene_ids, split_of
from simplechrome_tk.evaluation._evaluate import choose_splits, pair, scorable, scored
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
    from collections.abc import Iterator, Sequence

    import anndata as ad

    from simplechrome_tk.evaluation._evaluate import Pairs
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
    """Bootstrap the differences between models, paired: both are scored on the same resampled genes.

    The same genes are hard for every model, so that the intervals of two models (:func:`evaluate`) overlap long after
    their difference is beyond doubt. What the difference says is about new genes, not about new trainings of the model.

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
        What is drawn with replacement, from all chromosomes of the split alike. ``"gene"``: a gene, in all its cell
        types at once. ``"block"``: all genes whose TSS lies in the same stretch of a chromosome, which allows for
        neighbours that are right or wrong together; its intervals tend to be wider.
    block_size
        Length of such a stretch, in bp.
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
        over the resamples), ``share_above`` (share of resamples in which the difference is above 0, those in which it
        is 0 counted half) and ``n`` (genes scored; for the mean their sum over cell types). Of ``ECE`` less is better,
        of all other metrics more.

    Raises
    ------
    ValueError
        When there are fewer than two models, the reference is none of them, no two share a column, ``unit`` is unknown,
        or for a model and cell type as :func:`evaluate`.

    Examples
    --------
    >>> import anndata as ad, numpy as np, pandas as pd, simplechrome_tk as sct
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
    chosen = choose_splits(split, splits, split_key)
    tasks = scored(label_key, expression_key)
    has = {name: scorable(table, what=f"prediction {name!r}") for name, table in predictions.items()}
    units = _units(adata, unit, block_size)
    generators = streams(rng, list(tasks))
    rows = []
    for name, column in product(chosen, tasks):
        wanted = [two for two in contrasts if all(column in has[model] for model in two)]
        models = {model: predictions[model][column] for two in wanted for model in two}
        if models:
            pairs = _pairs(adata, models, tasks[column].truth(adata), split == name, name)
            draws = _Draws(units, n_bootstrap, generators[name, column])
            rows += [(*two, name, *row) for two, row in _differences(pairs, tasks[column].metrics, wanted, draws, name)]
    if not rows:
        msg = (
            f"no two of the models {', '.join(predictions)} predict the same; each has probability or expression alone."
        )
        raise ValueError(msg)
    return pd.DataFrame(rows, columns=_COLUMNS)


class _Draws(NamedTuple):
    """How to resample: the unit of each row of ``adata``, how often, and from which source."""

    units: pd.Index
    n: int
    rng: np.random.Generator


def _contrasts(predictions: Mapping[str, pd.DataFrame], reference: str | None) -> list[tuple[str, str]]:
    """Each model to compare with its reference."""
    if not isinstance(predictions, Mapping) or len(predictions) < 2:
        found = ", ".join(predictions) if isinstance(predictions, Mapping) else type(predictions).__name__
        msg = f"predictions: {found or 'none'}; expected those of two models or more, by name: {{'a': ..., 'b': ...}}."
        raise ValueError(msg)
    if reference is None:
        return [(later, earlier) for earlier, later in combinations(predictions, 2)]
    if reference not in predictions:
        msg = f"reference {reference!r} is not among the models: {', '.join(predictions)}."
        raise ValueError(msg)
    return [(name, reference) for name in predictions if name != reference]


def _units(adata: ad.AnnData, unit: str, block_size: int) -> pd.Index:
    """Name what each gene is drawn with, shape ``(n_genes,)``."""
    if unit not in get_args(Unit) or block_size < 1:
        msg = f"unit is {unit!r} and block_size {block_size}; expected {' or '.join(get_args(Unit))}, and 1 bp or more."
        raise ValueError(msg)
    if unit == "gene":
        return gene_ids(adata)
    where = positions(adata)
    return pd.Index([f"{chrom}:{block:.0f}" for chrom, block in zip(where.chrom, where.tss // block_size, strict=True)])


def _pairs(
    adata: ad.AnnData, models: Mapping[str, pd.Series], truth: np.ndarray, inside: np.ndarray, name: str
) -> dict[tuple[str, str], Pairs]:
    """Truth and prediction for each model and cell type."""
    cells = cell_types(adata)
    several = list(cells.unique())
    return {
        (model, cell): pair(
            adata,
            predicted,
            truth,
            inside & (cells == cell).to_numpy(),
            name=name,
            cell=cell if k.CELL_TYPE in adata.obs else "",
            model=model,
        )
        for model, predicted in models.items()
        for cell in several
    }


def _differences(
    pairs: Mapping[tuple[str, str], Pairs],
    metrics: Mapping[str, Metric],
    contrasts: Sequence[tuple[str, str]],
    draws: _Draws,
    name: str,
) -> Iterator[tuple[tuple[str, str], tuple[object, ...]]]:
    """Yield each two models with a row: cell type, metric, values, difference, interval, share, genes."""
    rows_of = {cell: each.rows for (_, cell), each in pairs.items()}  # the same for every model
    rows = np.unique(np.concatenate(list(rows_of.values())))
    samples = {key: Sample(each.truth, each.predicted, np.searchsorted(rows, each.rows)) for key, each in pairs.items()}
    scores = score(samples, metrics, resamples(draws.units[rows], draws.n, draws.rng))
    groups = {cell: [cell] for cell in rows_of}
    if len(rows_of) > 1:
        groups[MEAN] = list(rows_of)
    for two, metric, (cell, members) in product(contrasts, metrics, groups.items()):
        ours, theirs = (np.mean([scores[model, each][metric] for each in members], axis=0) for model in two)
        difference = ours - theirs
        what = f"{metric} of {two[0]} and {two[1]} on {name} of {cell}"
        resampled = recentre(known(difference[1:], what), difference[0], metric)
        above = float(np.mean((resampled > 0) + 0.5 * (resampled == 0))) if len(resampled) else np.nan
        n = sum(len(rows_of[each]) for each in members)
        yield two, (cell, metric, ours[0], theirs[0], difference[0], *interval(resampled), above, n)

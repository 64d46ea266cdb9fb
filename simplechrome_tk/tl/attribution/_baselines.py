"""Baselines for attribution: the marks that a gene's own are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core.features import gene_length, reads_body
from simplechrome_tk.core.require import cell_types, label_truth

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.tl.attribution._inputs import Inputs

Baseline = Literal["zero", "low", "matched"]

_LENGTH_GROUPS = 10
"""Groups of equal size into which ``"matched"`` divides the genes of a cell type by their length."""
_POOL_SIZE = 50
"""Genes of each group from which ``"gradient_shap"`` draws its baselines."""


class Baselines(NamedTuple):
    """The baselines of all genes.

    Attributes
    ----------
    name
        ``"zero"``, ``"low"``, ``"matched"``, or ``"given"`` for an array of the user.
    marks
        Normalised marks of each baseline, ``(n_baselines, n_columns)``.
    row_of_gene
        The row of ``marks`` that each gene is compared with, ``(n_genes,)``.
    pools
        For each baseline that is a mean over genes, some of these genes, ``(n_draws, n_columns)``; empty for baselines
        that are no mean.
    """

    name: str
    marks: np.ndarray
    row_of_gene: np.ndarray
    pools: list[np.ndarray]

    def select(self, rows: np.ndarray) -> np.ndarray:
        """Return the baselines of the genes in ``rows``, ``(len(rows), n_columns)``."""
        return self.marks[self.row_of_gene[rows]]

    def select_pool(self, row: int) -> np.ndarray:
        """Return the baselines to draw from for the gene in ``row``, ``(n_draws, n_columns)``."""
        number = self.row_of_gene[row]
        return self.pools[number] if self.pools else self.marks[[number]]


def make_baselines(data: Inputs, baseline: Baseline | np.ndarray) -> Baselines:
    """Make the baseline of every gene.

    Raises
    ------
    ValueError
        When the baseline is unknown or has another shape than one gene, or all genes, of the data.
    """
    if not isinstance(baseline, str):
        return _check_given(data, np.asarray(baseline, dtype=np.float32))
    if baseline not in get_args(Baseline):
        msg = f"baseline is {baseline!r}; choose one of {', '.join(get_args(Baseline))}, or give an array."
        raise ValueError(msg)
    if baseline == "zero":
        return Baselines("zero", data.no_signal[None], np.zeros(data.adata.n_obs, dtype=int), [])
    if baseline == "low":
        return _make_low(data)
    return _make_matched(data)


def _make_low(data: Inputs) -> Baselines:
    """Take the median of the low genes of each cell type."""
    low = label_truth(data.adata) == 0
    # A cell type has its own baseline, since the level of a mark differs between experiments.
    cell_type, names = pd.factorize(cell_types(data.adata))
    without = [name for number, name in enumerate(names) if not low[cell_type == number].any()]
    if without:
        msg = (
            f"baseline='low' needs low genes, and cell type {without[0]!r} has none: run sct.pp.label_expression "
            "first, or use baseline='zero'."
        )
        raise ValueError(msg)
    marks = data.marks
    medians = [np.median(marks[low & (cell_type == number)], axis=0) for number in range(len(names))]
    return Baselines("low", np.stack(medians), cell_type, [])


def _make_matched(data: Inputs) -> Baselines:
    """Take the mean of the genes of the same cell type and of similar length."""
    group = _number_groups(data.adata)
    members = list(pd.Series(group).groupby(group).indices.values())
    # The seed is fixed: the pools are part of the baseline, and must be the same in every call.
    marks, generator = data.marks, np.random.default_rng(0)
    pools = [marks[generator.permutation(rows)[:_POOL_SIZE]] for rows in members]
    return Baselines("matched", np.stack([marks[rows].mean(axis=0) for rows in members]), group, pools)


def _number_groups(adata: ad.AnnData) -> np.ndarray:
    """Return the number of each gene's group, ``(n_genes,)``: one cell type and, where a window reads the body, length.

    A bin of the body is as wide as the gene is long, so that genes of other lengths are no fair comparison.
    """
    groups = cell_types(adata).reset_index(drop=True)
    if reads_body(adata):
        # Ranks within the cell type give tenths of equal size, however lengths are distributed.
        rank = pd.Series(gene_length(adata)).groupby(groups.to_numpy()).rank(method="first", pct=True)
        tenth = np.ceil(rank * _LENGTH_GROUPS).astype(int)
        groups = groups + " " + tenth.astype(str)
    return pd.factorize(groups)[0]


def _check_given(data: Inputs, baseline: np.ndarray) -> Baselines:
    """Check an array of the user: one baseline for all genes, or one for each."""
    n_genes, n_columns = data.adata.n_obs, data.layout.n_columns
    if baseline.shape not in ((n_columns,), (n_genes, n_columns)):
        msg = (
            f"the baseline has shape {baseline.shape}; expected {(n_columns,)}, the same for every gene, or "
            f"{(n_genes, n_columns)}, one row for each gene, normalised as X is."
        )
        raise ValueError(msg)
    if not np.isfinite(baseline).all():
        msg = f"the baseline holds {int((~np.isfinite(baseline)).sum())} missing or infinite values; expected numbers."
        raise ValueError(msg)
    if baseline.ndim == 1:
        return Baselines("given", baseline[None], np.zeros(n_genes, dtype=int), [])
    return Baselines("given", baseline, np.arange(n_genes), [])

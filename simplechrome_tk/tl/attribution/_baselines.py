"""What genes are compared with when their marks are explained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from simplechrome_tk.core.features import gene_length, reads_body
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized, normalization
from simplechrome_tk.core.require import cell_types, label_truth

if TYPE_CHECKING:
    import anndata as ad

Baseline = Literal["zero", "low", "matched"]

_LENGTH_GROUPS = 10
_N_DRAWS = 50


class Reference(NamedTuple):
    """Marks of baselines ``(n_baselines, n_columns)`` and which of them each gene is compared with, ``(n_genes,)``.

    ``pools``: for each baseline some of the genes whose mean it is, ``(n_draws, n_columns)``; empty where it is none.
    """

    marks: np.ndarray
    of: np.ndarray
    pools: list[np.ndarray]
    name: str

    def of_genes(self, rows: np.ndarray) -> np.ndarray:
        """Return the baselines of the genes in ``rows``, ``(len(rows), n_columns)``."""
        return self.marks[self.of[rows]]

    def draws(self, row: int) -> np.ndarray:
        """Return baselines to draw from for the gene in ``row``, ``(n_draws, n_columns)``."""
        number = self.of[row]
        return self.pools[number] if self.pools else self.marks[[number]]


def reference(adata: ad.AnnData, baseline: Baseline | np.ndarray) -> Reference:
    """Make the baseline of every gene.

    Raises
    ------
    ValueError
        When the baseline is unknown or has another shape than one gene, or all genes, of the data.
    """
    if not isinstance(baseline, str):
        return _given(adata, np.asarray(baseline, dtype=np.float32))
    if baseline not in get_args(Baseline):
        msg = f"baseline is {baseline!r}; choose one of {', '.join(get_args(Baseline))}, or give an array."
        raise ValueError(msg)
    one = np.zeros(adata.n_obs, dtype=int)
    if baseline == "zero":
        return Reference(_no_signal(adata)[None], one, [], baseline)
    x = dense(adata).astype(np.float32, copy=False)
    if baseline == "low":
        low = label_truth(adata) == 0
        cell, names = pd.factorize(cell_types(adata))
        without = [name for number, name in enumerate(names) if not low[cell == number].any()]
        if without:
            msg = (
                f"baseline='low' needs low genes, and cell type {without[0]!r} has none: run sct.pp.label_expression "
                "first, or use baseline='zero'."
            )
            raise ValueError(msg)
        return Reference(
            np.stack([np.median(x[low & (cell == i)], axis=0) for i in range(len(names))]), cell, [], "low"
        )
    stratum = _strata(adata)
    members = list(pd.Series(stratum).groupby(stratum).indices.values())
    generator = np.random.default_rng(0)
    pools = [x[generator.permutation(rows)[:_N_DRAWS]] for rows in members]
    return Reference(np.stack([x[rows].mean(axis=0) for rows in members]), stratum, pools, baseline)


def _no_signal(adata: ad.AnnData) -> np.ndarray:
    """Return ``X`` of a gene without any signal, shape ``(n_columns,)``."""
    if not is_normalized(adata):
        return np.zeros(adata.n_vars, dtype=np.float32)
    table, constants = blocks(adata), normalization(adata)
    none = (-constants["center"] / constants["scale"]).astype(np.float32)
    return np.repeat(none, table["stop"] - table["start"])


def _strata(adata: ad.AnnData) -> np.ndarray:
    """Return the number of each gene's group: one cell type and, where a window reads the gene's body, like length."""
    groups = cell_types(adata).reset_index(drop=True)
    if reads_body(adata):
        rank = pd.Series(gene_length(adata)).groupby(groups.to_numpy()).rank(method="first", pct=True)
        tenth = np.ceil(rank * _LENGTH_GROUPS).astype(int)
        groups = groups + " " + tenth.astype(str)
    return pd.factorize(groups)[0]


def _given(adata: ad.AnnData, baseline: np.ndarray) -> Reference:
    shapes = (adata.n_vars,), adata.shape
    if baseline.shape not in shapes:
        msg = (
            f"the baseline has shape {baseline.shape}; expected {shapes[0]}, the same for every gene, or {shapes[1]}, "
            "one row a gene, normalised as X is."
        )
        raise ValueError(msg)
    if not np.isfinite(baseline).all():
        msg = f"the baseline holds {int((~np.isfinite(baseline)).sum())} missing or infinite values; expected numbers."
        raise ValueError(msg)
    if baseline.ndim == 1:
        return Reference(baseline[None], np.zeros(adata.n_obs, dtype=int), [], "given")
    return Reference(baseline, np.arange(adata.n_obs), [], "given")

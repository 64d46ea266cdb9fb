"""From an AnnData to what a network reads, with every mismatch named."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk import nn
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.features import Observed, one_hot
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import normalization
from simplechrome_tk.core.require import (
    cell_types,
    obs_column,
    obs_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import torch
    from scipy import sparse

    from simplechrome_tk.core.layout import Layout


logger = logging.getLogger(__name__)

_FEWEST_LABELS, _FEWEST_OF_A_CLASS = 10, 5  # five folds, with both classes in each
_LOG_LENGTH, _LOG_LENGTH_SD = 4.33, 0.63  # of log10(bp), over the 18,483 genes of `datasets.roadmap`


class ModelData(NamedTuple):
    """An AnnData that was read and checked against a model, made by :meth:`simplechrome_tk.SimpleChrome.read`.

    Attributes
    ----------
    adata
        The genes.
    layout
        Their columns.
    x
        Inputs of the networks, ``(n_genes, n_columns + n_covariates)``, on the model's device.
    graph
        Graph of neighbours, or ``None`` where the model reads each gene alone.
    """

    adata: ad.AnnData
    layout: Layout
    x: torch.Tensor
    graph: nn.Graph | None


def condition_names(adata: ad.AnnData, key: str) -> tuple[str, ...]:
    """Return the values of ``obs[key]`` in order of appearance.

    Raises
    ------
    ValueError
        When there is no such column, a gene has no value, or all have the same.
    """
    column = obs_column(adata, key, fix="name another with condition_key, or leave it out")
    names = tuple(dict.fromkeys(column.dropna().astype(str)))
    if column.isna().any() or len(names) < 2:
        msg = (
            f"condition_key={key!r}: {int(column.isna().sum())} genes have no value, and the others {len(names)}; "
            "expected two values at least, and one for each gene. Leave condition_key out for one cell type."
        )
        raise ValueError(msg)
    return names


def conditions_of(adata: ad.AnnData, key: str, names: Sequence[str]) -> np.ndarray:
    """Return :func:`one_hot` of ``obs[key]``; values that are none of ``names`` are counted in the log."""
    fix = "the model's decoder reads it: store the cell type, or batch, of each gene there"
    values = obs_column(adata, key, fix=fix).astype(str)
    unknown = ~values.isin(names)
    if unknown.any():
        logger.info(
            "%d genes are of a %s that the decoder has not seen, such as %s: decoded as the mean of %s.",
            unknown.sum(),
            key,
            values[unknown].iloc[0],
            ", ".join(names),
        )
    return one_hot(values.tolist(), names)


def neighbor_graph(adata: ad.AnnData, key: str) -> nn.Graph:
    """Read the graph ``key`` from ``obsp``."""
    connectivities, distances = neighbor_matrices(adata, key)
    _check_distances(adata, distances, key)
    return nn.Graph(connectivities, distances)


def _check_distances(adata: ad.AnnData, distances: sparse.spmatrix, key: str) -> None:
    """Raise ``ValueError`` when the graph's distances are not those between these genes."""
    if k.TSS not in adata.obs:
        return
    pairs = distances.tocoo()
    tss = obs_numbers(adata, k.TSS, fix="store each gene's position there")
    between = tss[pairs.col] - tss[pairs.row]
    wrong = (pairs.data != 0) & (np.abs(np.abs(between) - np.abs(pairs.data)) > 1)
    if wrong.any():
        gene, neighbor = pairs.row[wrong][0], pairs.col[wrong][0]
        msg = (
            f"the graph {key!r} is not of these genes: {int(wrong.sum())} of its distances are not those between their "
            f"TSS, such as {pairs.data[wrong][0]:g} bp from {adata.obs_names[gene]!r} to "
            f"{adata.obs_names[neighbor]!r}, which are {between[wrong][0]:g} bp apart. Make the graph again on "
            "this AnnData."
        )
        raise ValueError(msg)


def report_unlabelled(adata: ad.AnnData, observed: Observed, split: np.ndarray) -> None:
    """Of several cell types log those of which nothing is known; raise where all labels of one are of one class."""
    members = cell_types(adata).groupby(cell_types(adata)).indices
    for cell, genes in members.items() if len(members) > 1 else ():
        train = genes[split[genes] == "train"]
        label = observed.label[train]
        found = np.unique(label[~np.isnan(label)])
        if len(found) == 1:
            msg = (
                f"cell type {cell!r}: all {int((~np.isnan(label)).sum())} labelled training genes are "
                f"{k.LABELS[int(found[0])]}; expected both classes. Label them with sct.pp.label_expression, which "
                "takes each cell type's own median."
            )
            raise ValueError(msg)
        if not len(found) and np.isnan(observed.log_expression[train]).all():
            logger.warning(
                "Cell type %r has no label or expression to train on: its marks train the latent only.", cell
            )


def check_counts(adata: ad.AnnData) -> None:
    """Raise ``ValueError`` unless the signal was counts before its logarithm was normalised."""
    signal = dense(adata, k.SIGNAL) if k.SIGNAL in adata.layers else None
    method = normalization(adata)["method"]
    if signal is None or method != "log1p":
        msg = (
            "likelihood='negative_binomial' needs read counts in layers['signal'] and X normalised from them with "
            f"method='log1p'; found {'no such layer' if signal is None else f'method={method!r}'}."
        )
        raise ValueError(msg)
    broken = signal % 1 != 0
    if broken.any():
        row, column = np.argwhere(broken)[0]
        msg = (
            f"likelihood='negative_binomial' needs read counts; found {signal[row, column]:g} for gene "
            f"{adata.obs_names[row]!r} in {adata.var_names[column]!r}. Count reads with sct.pp.bin_reads, or use "
            "likelihood='gaussian'."
        )
        raise ValueError(msg)

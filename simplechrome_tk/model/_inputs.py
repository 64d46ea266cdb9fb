"""Inputs of the networks, read from an AnnData and checked against a model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.features import Observed, gene_length, one_hot, read_features
from simplechrome_tk.core.graph import graph_names, neighbor_matrices
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.model_checks import check_columns, check_normalization
from simplechrome_tk.core.normalization import normalization
from simplechrome_tk.core.reference import ReferenceConstants, read_reference
from simplechrome_tk.core.require import cell_types, check_data, check_unique, obs_column, obs_numbers
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.nn._graph import Graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from scipy import sparse

    from simplechrome_tk.model._settings import Settings
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.model._state import ModelState


logger = logging.getLogger(__name__)


class ModelData(NamedTuple):
    """An AnnData that was read and checked against a model by :meth:`simplechrome_tk.SimpleChrome.read`.

    Attributes
    ----------
    adata
        The genes.
    layout
        Their columns.
    x
        Inputs of the networks, ``(n_genes, n_inputs)``, on the model's device: columns of the marks, expression in
        reference samples, the gene's length and its condition.
    graph
        Graph of neighbours, or ``None`` where the model reads each gene alone.
    """

    adata: ad.AnnData
    layout: Layout
    x: torch.Tensor
    graph: Graph | None


def read_data(adata: ad.AnnData, state: ModelState, device: torch.device) -> ModelData:
    """Read everything that the networks of a model need, after checking that the data fit the model."""
    check_fit(adata, state)
    keys = state.settings.graphs
    graph = neighbor_graph(adata, keys).to(device) if keys else None
    return ModelData(adata, Layout.of(adata), read_inputs(adata, state, device), graph)


def check_fit(adata: ad.AnnData, state: ModelState) -> None:
    """Raise ``ValueError`` unless the data have the columns and the normalisation of a model."""
    check_data(adata)
    check_columns(list(adata.var_names), state.columns)
    check_normalization(adata, state.normalization)


def check_new(adata: ad.AnnData, settings: Settings) -> None:
    """Raise ``ValueError`` unless a new model with these settings can be trained on the data."""
    check_unique(adata)
    if settings.likelihood == "negative_binomial":
        check_counts(adata)
    if settings.graphs:
        neighbor_graph(adata, settings.graphs)


def read_inputs(adata: ad.AnnData, state: ModelState, device: torch.device) -> torch.Tensor:
    """Return what the networks read of each gene, ``(n_genes, n_inputs)``.

    Marks come first; reference samples, the gene's length and its condition follow where the model reads them.
    """
    settings = state.settings
    columns = [read_features(adata)]
    if settings.reference_key is not None:
        columns.append(reference_of(adata, settings, state.reference_constants))
    if settings.gene_length:
        columns.append(gene_length(adata, state.length_constants)[:, None])
    if settings.condition_key is not None:
        columns.append(conditions_of(adata, settings.condition_key, settings.conditions))
    return torch.as_tensor(np.concatenate(columns, axis=1), dtype=torch.float32, device=device)


def read_points(
    latents: np.ndarray, conditions: Sequence[str] | None, settings: Settings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of a decoder: latents, and the weight of each condition, one row for each point."""
    if latents.ndim != 2 or latents.shape[1] != settings.n_latent:
        msg = f"latents have shape {latents.shape}; expected (n_points, {settings.n_latent}), as this model's are."
        raise ValueError(msg)
    names = [""] * len(latents) if conditions is None else list(conditions)
    if len(names) != len(latents):
        msg = f"{len(names)} conditions for {len(latents)} points; expected one for each."
        raise ValueError(msg)
    return torch.as_tensor(latents, dtype=torch.float32), torch.as_tensor(one_hot(names, settings.conditions))


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
            f"condition_key={key!r}: {int(column.isna().sum())} genes have no value, and the others have {len(names)} "
            "different ones; expected a value for each gene, and two different ones at least. Leave condition_key out "
            "for one cell type."
        )
        raise ValueError(msg)
    return names


def conditions_of(adata: ad.AnnData, key: str, names: Sequence[str]) -> np.ndarray:
    """Return :func:`one_hot` of ``obs[key]``; values that are not among ``names`` are counted in the log."""
    fix = "it is an input of the model's decoder: store the cell type, or batch, of each gene there"
    values = obs_column(adata, key, fix=fix).astype(str)
    unknown = ~values.isin(names)
    if unknown.any():
        logger.info(
            "%d genes have a %s that the model was not trained with, such as %s: they are decoded as the mean of %s.",
            unknown.sum(),
            key,
            values[unknown].iloc[0],
            ", ".join(names),
        )
    return one_hot(values.tolist(), names)


def reference_constants(adata: ad.AnnData, key: str, split_key: str) -> ReferenceConstants:
    """Return the constants by which a new model standardises log expression in reference samples.

    They are mean and standard deviation over the known values of the training genes, or of all genes where there is no
    split yet. All samples share them, so that differences between samples stay.
    """
    values = read_reference(adata, key).values
    if split_key in adata.obs and (train := (adata.obs[split_key] == "train").to_numpy()).any():
        values = values[train]
    known = values[~np.isnan(values)]
    if not len(known):
        msg = (
            f"obsm[{key!r}] knows the expression of no training gene: run sct.pp.add_reference_expression with a table "
            "of these genes, or leave reference_key out."
        )
        raise ValueError(msg)
    return ReferenceConstants(float(known.mean()), float(known.std()) or 1.0)


def reference_of(adata: ad.AnnData, settings: Settings, constants: ReferenceConstants) -> np.ndarray:
    """Return standardised log expression in the reference samples of a model, float32 ``(n_genes, n_references)``.

    Unknown values count as the mean over all genes, and genes without any are counted in the log.

    Raises
    ------
    ValueError
        When the samples are not those that the model was trained with.
    """
    key = str(settings.reference_key)
    values, samples = read_reference(adata, key)
    missing = [name for name in settings.references if name not in samples]
    extra = [name for name in samples if name not in settings.references]
    if missing or extra:
        parts = [f"{len(names)} {what} ({shorten(names)})" for names, what in ((missing, "missing"), (extra, "more"))]
        differences = ", ".join(part for part, names in zip(parts, (missing, extra), strict=True) if names)
        msg = (
            f"the reference samples in obsm[{key!r}] are not those that the model was trained with: {differences}. Run "
            "sct.pp.add_reference_expression with the same samples; exclude=[...] leaves samples out."
        )
        raise ValueError(msg)
    values = values[:, [samples.index(name) for name in settings.references]]
    unknown = int(np.isnan(values).all(axis=1).sum())
    if unknown:
        logger.warning(
            "%d of %d genes have no reference expression in obsm[%r]: they are read as average genes.",
            unknown,
            len(values),
            key,
        )
    standardised = (values - constants.center) / constants.scale
    return np.nan_to_num(standardised, nan=0.0).astype(np.float32)


def neighbor_graph(adata: ad.AnnData, neighbors_key: str | Sequence[str]) -> Graph:
    """Read a graph, or several that are joined to one, from ``obsp``."""
    graphs = []
    for key in graph_names(neighbors_key):
        connectivities, distances = neighbor_matrices(adata, key)
        _check_distances(adata, distances, key)
        graphs.append((connectivities, distances))
    return Graph(graphs)


def _check_distances(adata: ad.AnnData, distances: sparse.spmatrix, key: str) -> None:
    """Raise ``ValueError`` when the graph's distances are not those between these genes."""
    if k.TSS not in adata.obs:
        return
    pairs = distances.tocoo()
    tss = obs_numbers(adata, k.TSS, fix="store each gene's position there")
    between = tss[pairs.col] - tss[pairs.row]
    # The sign depends on the strand, and genes on different chromosomes have a distance of 0, so that only the lengths
    # of the other distances are compared, to within one bp of rounding.
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


def check_cell_types(adata: ad.AnnData, observed: Observed, split: np.ndarray) -> None:
    """Check the labels of each cell type, where there are several.

    A cell type without a label or expression among its training genes is named in the log.

    Raises
    ------
    ValueError
        When the labelled training genes of a cell type are all of one class.
    """
    cells = cell_types(adata)
    members = cells.groupby(cells).indices
    if len(members) < 2:
        return
    for cell, genes in members.items():
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
                "Cell type %r has no label or expression to train on: only the latent is trained on its marks.", cell
            )


def check_counts(adata: ad.AnnData) -> None:
    """Raise ``ValueError`` unless ``X`` was normalised from the logarithm of read counts."""
    signal = dense(adata, k.SIGNAL) if k.SIGNAL in adata.layers else None
    method = normalization(adata)["method"]
    if signal is None or method != "log1p":
        msg = (
            "likelihood='negative_binomial' needs read counts in layers['signal'] and X normalised from them with "
            f"method='log1p'; found {'no such layer' if signal is None else f'method={method!r}'}."
        )
        raise ValueError(msg)
    # Every whole number leaves no remainder; missing and infinite values leave NaN, which differs from 0.
    broken = signal % 1 != 0
    if broken.any():
        row, column = np.argwhere(broken)[0]
        msg = (
            f"likelihood='negative_binomial' needs read counts; found {signal[row, column]:g} for gene "
            f"{adata.obs_names[row]!r} in {adata.var_names[column]!r}. Count reads with sct.pp.bin_reads, or use "
            "likelihood='gaussian'."
        )
        raise ValueError(msg)


def require_trained(model: SimpleChrome) -> None:
    """Raise ``RuntimeError`` unless the model has been trained."""
    if not model.is_trained:
        msg = "the model is not trained: run model.train() first."
        raise RuntimeError(msg)

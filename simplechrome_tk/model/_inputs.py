"""Inputs of the networks, read from an AnnData and checked against a model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.features import Observed, gene_length, one_hot, read_features
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import normalization
from simplechrome_tk.core.require import cell_types, check_data, check_unique, obs_column, obs_numbers
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
        Inputs of the networks, ``(n_genes, n_columns + n_covariates)``, on the model's device.
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
    key = state.settings.neighbors_key
    graph = None if key is None else neighbor_graph(adata, key).to(device)
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
    if settings.neighbors_key is not None:
        neighbor_graph(adata, settings.neighbors_key)


def read_inputs(adata: ad.AnnData, state: ModelState, device: torch.device) -> torch.Tensor:
    """Return marks, then the gene's length and its condition where the model reads them, one row for each gene."""
    settings = state.settings
    columns = [read_features(adata)]
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


def neighbor_graph(adata: ad.AnnData, key: str) -> Graph:
    """Read the graph ``key`` from ``obsp``."""
    connectivities, distances = neighbor_matrices(adata, key)
    _check_distances(adata, distances, key)
    return Graph(connectivities, distances)


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


def check_columns(found: Sequence[str], expected: Sequence[str]) -> None:
    """Raise ``ValueError`` that names the columns in which the data differ from those the model was trained on."""
    if list(found) == list(expected):
        return
    # Which names are missing or unknown; if none, the order differs.
    present, known = set(found), set(expected)
    missing = [name for name in expected if name not in present]
    unknown = [name for name in found if name not in known]
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in ((missing, "missing"), (unknown, "unknown to the model"))
        if names
    ]
    fix = "bin the same marks with the same windows" if parts else "reorder with adata[:, names]"
    difference = "; ".join(parts) or "same names in another order"
    msg = f"columns differ from those the model was trained on: {difference}. Please {fix}."
    raise ValueError(msg)


def check_normalization(adata: ad.AnnData, expected: dict[str, np.ndarray]) -> None:
    """Raise ``ValueError`` unless ``X`` was normalised with the model's constants."""
    fix = "sct.pp.normalize(adata, reference=model.normalization) on its raw signal"
    found = normalization(adata, fix=f"run {fix}")
    if not all(key in found and np.array_equal(np.asarray(found[key]), value) for key, value in expected.items()):
        msg = f"X was normalised with other constants than the model's: run {fix} (adata.layers['signal'])."
        raise ValueError(msg)


def require_trained(model: SimpleChrome) -> None:
    """Raise ``RuntimeError`` unless the model has been trained."""
    if not model.is_trained:
        msg = "the model is not trained: run model.train() first."
        raise RuntimeError(msg)

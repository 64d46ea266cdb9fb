"""Effects of every bin of every mark of each neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from simplechrome_tk.core.graph import graph_names
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._methods import integrate_with_captum
from simplechrome_tk.tl.attribution._readout import NeighborReadout
from simplechrome_tk.tl.attribution._target import choose_target, freeze_networks

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline
    from simplechrome_tk.tl.attribution._readout import TargetFunction
    from simplechrome_tk.tl.attribution._target import Batch, ExplainedTarget


class NeighborAttributions(NamedTuple):
    """Effects of the neighbours' bins, one row for each pair of a gene and a neighbour.

    Attributes
    ----------
    gene, neighbor
        Row numbers, ``(n_pairs,)``.
    effects
        ``(n_pairs, n_columns)``.
    explained
        The target that was explained.
    baseline
        Name of the baseline.
    """

    gene: np.ndarray
    neighbor: np.ndarray
    effects: np.ndarray
    explained: ExplainedTarget
    baseline: str


def attribute_neighbors(
    adata: ad.AnnData,
    model: SimpleChrome,
    genes: Genes,
    *,
    target: str | TargetFunction,
    baseline: Baseline | np.ndarray,
    n_steps: int,
    batch_size: int,
    progress: bool,
) -> NeighborAttributions:
    """Compute :func:`simplechrome_tk.get.neighbor_attributions`, which documents the arguments."""
    data = read_inputs(adata, model)
    explained = choose_target(data, model, target)
    rows = gene_rows(adata, genes)
    if explained.graph is None:
        msg = (
            "this model reads no neighbours (or the target is a latent): train one with "
            "sct.SimpleChrome(adata, neighbors_key='tss')."
        )
        raise ValueError(msg)
    baselines = make_baselines(data, baseline)
    index, mask = explained.graph.index.cpu().numpy(), explained.graph.mask.cpu().numpy()
    if not mask[rows].any():
        graphs = ", ".join(map(repr, graph_names(explained.neighbors_key)))
        msg = f"none of the {len(rows)} genes has a neighbour in the graph {graphs}."
        raise ValueError(msg)
    # Every gene goes through the networks together with all its neighbours.
    size = max(1, batch_size // (1 + index.shape[1]))
    effects, pairs = [], []
    with freeze_networks(explained.networks), tqdm(total=len(rows), disable=not progress, unit="gene") as bar:
        for part in np.array_split(rows, max(1, -(-len(rows) // size))):
            batch = explained.gather(part, baselines)
            effects.append(_compute_batch(explained, batch, n_steps)[mask[part]])
            pairs.append(np.stack([np.repeat(part, mask[part].sum(axis=1)), index[part][mask[part]]]))
            bar.update(len(part))
    gene, neighbor = np.concatenate(pairs, axis=1)
    return NeighborAttributions(gene, neighbor, np.concatenate(effects), explained, baselines.name)


def _compute_batch(explained: ExplainedTarget, batch: Batch, n_steps: int) -> np.ndarray:
    """Return the effects of the neighbours' bins, ``(batch, n_neighbors, n_columns)``."""
    inputs, baselines = batch.select_explained(batch.x), batch.select_explained(batch.baseline)
    parts = []
    for net in explained.networks:
        # Captum integrates over the marks of the gene and of its neighbours together; only the latter are kept here.
        _, neighbors = integrate_with_captum(
            NeighborReadout(net, explained.readout),
            inputs,
            baselines,
            batch.fixed,
            n_steps=n_steps,
            at_once=len(batch.genes),
        )
        parts.append(neighbors.detach()[..., : batch.n_columns])
    return torch.stack(parts).mean(dim=0).cpu().numpy()

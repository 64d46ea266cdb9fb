"""Attribute predictions to every bin of every mark of each neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import torch
from scipy import sparse
from tqdm.auto import tqdm

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.tl.attribution._baselines import reference
from simplechrome_tk.tl.attribution._methods import along_path
from simplechrome_tk.tl.attribution._target import Among, explained, frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline
    from simplechrome_tk.tl.attribution._target import Read


def attribute_neighbors(
    adata: ad.AnnData,
    model: SimpleChrome,
    genes: str | Sequence[str] | np.ndarray | pd.Series,
    *,
    target: str | Read = "logit",
    baseline: Baseline | np.ndarray = "zero",
    n_steps: int = 50,
    batch_size: int = 512,
    progress: bool = True,
) -> ad.AnnData:
    """Attribute predictions to each bin of each mark of the neighbours, by integrated gradients.

    :func:`attribute` tells what a neighbour does as a whole; this tells through which of its marks, at the price of
    encoding every neighbour of every gene. Sums over bins are those of :func:`attribute`.

    Parameters
    ----------
    model
        A trained model with neighbours.
    adata, target, baseline, n_steps
        As for :func:`attribute`.
    genes
        Ids, symbols or a mask ``(n_genes,)`` of the genes to explain.
    batch_size
        Genes and neighbours that go through the networks at once.
    progress
        Show a progress bar.

    Returns
    -------
    anndata.AnnData
        One row for each gene and neighbour, named ``gene:neighbor``, with the columns of ``adata``. ``X``: effect of
        the neighbour's bin on the gene, float32. ``obs``: ``gene``, ``neighbor`` (ids), ``distance_bp`` (signed along
        the gene's strand, negative upstream) and ``weight`` of the pair. ``uns["attribution"]``: ``target``, ``unit``,
        ``baseline``, ``n_steps``. Genes without neighbours have no row.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When the model has no neighbours, none of the genes has one, or as for :func:`attribute`.
    """
    check_order(adata, model, "sct.tl.attribute_neighbors(adata, model, genes)")
    what = explained(model, adata, target)
    rows = gene_rows(adata, genes)
    if what.graph is None:
        msg = (
            "this model hears no neighbours (or the target is a latent): train one with "
            "sct.SimpleChrome(adata, neighbors_key='tss')."
        )
        raise ValueError(msg)
    start = reference(adata, baseline)
    n_neighbors = what.graph.index.shape[1]
    size = max(1, batch_size // (1 + n_neighbors))
    effects, pairs = [], []
    with frozen(what.networks), tqdm(total=len(rows), disable=not progress, unit="gene") as bar:
        for part in np.array_split(rows, max(1, -(-len(rows) // size))):
            batch = what.batch(part, start)
            inputs, baselines = batch.inputs(batch.x), batch.inputs(batch.baseline)
            parts = [
                along_path(Among(net, what.read), inputs, baselines, batch.fixed, n_steps=n_steps, at_once=len(part))[
                    1
                ].detach()
                for net in what.networks
            ]
            mask = what.graph.mask[part].cpu().numpy()
            effects.append(torch.stack(parts).mean(dim=0).cpu().numpy()[mask])
            pairs.append(np.stack([np.repeat(part, mask.sum(axis=1)), what.graph.index[part].cpu().numpy()[mask]]))
            bar.update(len(part))
    gene, neighbor = np.concatenate(pairs, axis=1)
    if not len(gene):
        msg = f"none of the {len(rows)} genes asked for has a neighbour in the graph {what.neighbors_key!r}."
        raise ValueError(msg)
    names = adata.obs_names.to_numpy(str)
    obs = pd.DataFrame({"gene": names[gene], "neighbor": names[neighbor]})
    for column, slot in (("distance_bp", k.DISTANCES), ("weight", k.CONNECTIVITIES)):
        obs[column] = np.asarray(sparse.csr_matrix(adata.obsp[slot.format(what.neighbors_key)])[gene, neighbor]).ravel()
    obs.index = obs["gene"] + ":" + obs["neighbor"]
    record = {"target": what.target, "unit": what.unit, "baseline": start.name, "n_steps": n_steps}
    uns = {k.ATTRIBUTION: record, **{name: adata.uns[name] for name in ("windows",) if name in adata.uns}}
    return ad.AnnData(np.concatenate(effects), obs=obs, var=adata.var.copy(), uns=uns)

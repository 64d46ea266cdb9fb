"""Effects of every bin of every mark of each neighbour, as an AnnData."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import join_graphs
from simplechrome_tk.core.require import check_order
from simplechrome_tk.get._neighbors import select_values
from simplechrome_tk.tl.attribution._neighbor_attributions import attribute_neighbors

if TYPE_CHECKING:
    import numpy as np

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome
    from simplechrome_tk.tl.attribution._baselines import Baseline
    from simplechrome_tk.tl.attribution._readout import TargetFunction


def neighbor_attributions(
    adata: ad.AnnData,
    model: SimpleChrome,
    genes: Genes,
    *,
    target: str | TargetFunction = "logit",
    baseline: Baseline | np.ndarray = "zero",
    n_steps: int = 50,
    batch_size: int = 512,
    progress: bool = True,
) -> ad.AnnData:
    """Attribute predictions to each bin of each mark of the neighbours, by integrated gradients.

    :func:`neighbor_effects` gives the effect of a neighbour as a whole. This function shows through which of its marks
    the neighbour acts. It takes longer, since every neighbour of every gene is encoded by itself. The sums over bins
    are the effects that :func:`simplechrome_tk.tl.attribute` writes.

    Parameters
    ----------
    adata, target, baseline, n_steps
        As for :func:`simplechrome_tk.tl.attribute`.
    model
        A trained model with neighbours.
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
        When the model has no neighbours, none of the genes has one, or as for :func:`simplechrome_tk.tl.attribute`.

    Examples
    --------
    >>> pairs = sct.get.neighbor_attributions(adata, model, "SIM0007", n_steps=4, progress=False)
    >>> pairs.shape
    (4, 600)
    """
    check_order(adata, model, "sct.get.neighbor_attributions(adata, model, genes)")
    found = attribute_neighbors(
        adata,
        model,
        genes,
        target=target,
        baseline=baseline,
        n_steps=n_steps,
        batch_size=batch_size,
        progress=progress,
    )
    explained = found.explained
    weights, distances = join_graphs(adata, explained.neighbors_key)
    names = adata.obs_names.to_numpy(str)
    obs = pd.DataFrame(
        {
            "gene": names[found.gene],
            "neighbor": names[found.neighbor],
            "distance_bp": select_values(distances, found.gene, found.neighbor),
            "weight": select_values(weights, found.gene, found.neighbor),
        }
    )
    obs.index = obs["gene"] + ":" + obs["neighbor"]
    record = {"target": explained.name, "unit": explained.unit, "baseline": found.baseline, "n_steps": n_steps}
    uns = {k.ATTRIBUTION: record, **{name: adata.uns[name] for name in (k.WINDOWS,) if name in adata.uns}}
    return ad.AnnData(found.effects, obs=obs, var=adata.var.copy(), uns=uns)

"""Attributions of a few genes for the widgets, in an AnnData of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_rows
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.tl.attribution._attribute import attribute
from simplechrome_tk.tl.attribution._fingerprint import fingerprint_networks
from simplechrome_tk.tl.attribution._inputs import read_inputs
from simplechrome_tk.tl.attribution._neighborhood import neighborhood
from simplechrome_tk.tl.attribution._result import find_unchanged, read_fingerprint
from simplechrome_tk.tl.attribution._target import choose_target

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome

_N_STEPS = 16
"""Points of the integral: effects miss .01 % of the difference in the median of 60 genes of E116, and 1.3 % at most."""


def explain_genes(
    adata: ad.AnnData, model: SimpleChrome, genes: Genes, *, key: str = k.ATTRIBUTION, n_steps: int = _N_STEPS
) -> ad.AnnData:
    """Copy a few genes and their neighbours, with attributions, and leave ``adata`` as it is.

    This takes a fraction of a second, however many genes ``adata`` holds. Attributions that ``adata`` holds are copied
    if they are of this model, and of the marks and neighbours that the genes have now. Otherwise they are computed by
    integrated gradients from no signal, for the log-odds, or for expression if the model predicts that alone.

    Parameters
    ----------
    adata
        Genes as for :meth:`simplechrome_tk.SimpleChrome.predict`.
    model
        A trained model.
    genes
        Ids, symbols or a mask ``(n_genes,)``.
    key
        Name of the attributions, in ``adata`` and in the result.
    n_steps
        Points of the integral, where it is computed.

    Returns
    -------
    anndata.AnnData
        That of :func:`simplechrome_tk.get.neighborhood`, with what :func:`attribute` writes for ``genes``.
        ``uns[key]["computed"]`` says whether the attributions were computed here.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When a gene is unknown, or the data or the graph do not fit the model.
    """
    require_trained(model)
    rows = gene_rows(adata, genes)
    # The copy holds all that the networks read of these genes: effects there are those among all genes.
    small = neighborhood(adata, adata.obs_names[rows].to_numpy(str), neighbors_key=model.settings.neighbors_key)
    wanted = np.arange(small.n_obs) < len(rows)
    computed = not _are_stored(small, model, np.flatnonzero(wanted), key)
    if computed:
        target = "log_expression" if model.settings.task == "regression" else "logit"
        attribute(small, model, genes=wanted, target=target, n_steps=n_steps, key_added=key, progress=False)
    small.uns[key] = {**small.uns[key], "computed": computed}
    return small


def _are_stored(adata: ad.AnnData, model: SimpleChrome, rows: np.ndarray, key: str) -> bool:
    """Whether there are attributions of all these genes, of this model and of the inputs that the genes have now."""
    stored = read_fingerprint(adata, key)
    if "networks" not in stored:
        return False
    data = read_inputs(adata, model)
    try:
        explained = choose_target(data, model, str(adata.uns[key].get("target")))
    except ValueError:  # the target is a function, or a dimension that this model does not have
        return False
    # The baseline is not compared: it is part of the record, and widgets name it.
    if stored["networks"] != fingerprint_networks(explained):
        return False
    return len(find_unchanged(adata, key, explained, rows)) == len(rows)

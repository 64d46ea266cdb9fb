"""A few genes and their neighbours, in a small AnnData of their own."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names, join_graphs
from simplechrome_tk.core.require import check_selectable, gene_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes

_SLICING = Lock()
"""AnnData switches a warning of pandas off while it slices, for all threads, and on again while another still does."""


def neighborhood(adata: ad.AnnData, genes: Genes, *, neighbors_key: str | Sequence[str] | None = None) -> ad.AnnData:
    """Copy genes, and after them their neighbours in a graph, into a small AnnData.

    The model predicts and explains ``genes`` in the copy as it does among all genes, in a fraction of the time, and
    ``adata`` stays as it is. Means over genes, such as the baselines ``"low"`` and ``"matched"`` of
    :func:`simplechrome_tk.tl.attribute`, differ in the copy, since they are taken over fewer genes.

    :func:`simplechrome_tk.get.neighbors` lists the same neighbours as a table,
    :func:`simplechrome_tk.get.neighbor_effects` with their effects. :func:`simplechrome_tk.get.nearest_genes` lists
    genes with similar marks instead.

    Parameters
    ----------
    adata
        Genes by bins.
    genes
        Ids, symbols or a mask ``(n_genes,)``.
    neighbors_key
        Graph of neighbouring genes in ``obsp``, or names of several; ``None`` copies the genes alone.

    Returns
    -------
    anndata.AnnData
        ``genes`` in the given order, then their neighbours, each once, with everything that ``adata`` holds of them. In
        the graph of the copy, only ``genes`` have neighbours, since the neighbours of the others were not copied.

    Raises
    ------
    ValueError
        When a gene is unknown or the graph is missing.

    Examples
    --------
    >>> sct.get.neighborhood(adata, "SIM0007", neighbors_key="tss").n_obs
    5
    """
    check_selectable(adata)
    rows = gene_rows(adata, genes)
    names = graph_names(neighbors_key)
    if not names:
        return _copy(adata, rows)
    links = join_graphs(adata, names)[0][rows]
    neighbors = np.setdiff1d(links.indices[links.data != 0], rows)
    small = _copy(adata, np.concatenate([rows, neighbors]))
    # The rows of the neighbours are emptied: their own neighbours are not there, or not all of them.
    keep = sparse.diags_array((np.arange(small.n_obs) < len(rows)).astype(float))
    for slot in (form.format(name) for name in names for form in (k.CONNECTIVITIES, k.DISTANCES)):
        links = sparse.csr_matrix(keep @ small.obsp[slot])
        links.eliminate_zeros()
        small.obsp[slot] = links.astype(adata.obsp[slot].dtype)
    return small


def _copy(adata: ad.AnnData, rows: np.ndarray) -> ad.AnnData:
    with _SLICING:
        part = adata[rows]
        return part.to_memory() if adata.isbacked else part.copy()

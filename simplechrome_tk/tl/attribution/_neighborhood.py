"""Some genes and those that they hear, as a small AnnData of their own."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.core.require import check_selectable, gene_rows

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes

_SLICING = Lock()
"""AnnData switches a warning of pandas off while it slices, for all threads, and on again while another still does."""


def neighborhood(adata: ad.AnnData, genes: Genes, *, neighbors_key: str | None = None) -> ad.AnnData:
    """Copy genes, and behind them those that they have as neighbours, into a small AnnData.

    A model predicts and explains the genes asked for as it does among all genes, in a fraction of the time, and
    ``adata`` stays as it is. What is a mean over genes, such as the baselines ``"low"`` and ``"matched"`` of
    :func:`simplechrome_tk.tl.attribute`, is another one there.

    Parameters
    ----------
    adata
        Genes by bins.
    genes
        Ids, symbols or a mask ``(n_genes,)``.
    neighbors_key
        Graph of neighbouring genes in ``obsp``; ``None`` copies the genes alone.

    Returns
    -------
    anndata.AnnData
        The genes asked for, in that order, then their neighbours, each once, with everything that ``adata`` holds of
        them. In the graph the genes asked for alone have neighbours, since those of the others were not copied.

    Raises
    ------
    ValueError
        When a gene is unknown or the graph is missing.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.tss_neighbors(adata, n_neighbors=4)
    >>> sct.get.neighborhood(adata, "SIM0007", neighbors_key="tss").n_obs
    5
    """
    check_selectable(adata)
    rows = gene_rows(adata, genes)
    if neighbors_key is None:
        return _copy(adata, rows)
    links = sparse.csr_matrix(neighbor_matrices(adata, neighbors_key)[0])[rows]
    heard = np.setdiff1d(links.indices[links.data != 0], rows)
    small = _copy(adata, np.concatenate([rows, heard]))
    asked = sparse.diags_array((np.arange(small.n_obs) < len(rows)).astype(float))
    for slot in (k.CONNECTIVITIES, k.DISTANCES):
        links = sparse.csr_matrix(asked @ small.obsp[slot.format(neighbors_key)])
        links.eliminate_zeros()
        small.obsp[slot.format(neighbors_key)] = links.astype(adata.obsp[slot.format(neighbors_key)].dtype)
    return small


def _copy(adata: ad.AnnData, rows: np.ndarray) -> ad.AnnData:
    with _SLICING:
        part = adata[rows]
        return part.to_memory() if adata.isbacked else part.copy()

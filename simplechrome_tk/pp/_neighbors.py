"""Graph of genes that lie next to each other on the chromosome."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.core.write import to_change
from simplechrome_tk.pp._graph import Edges, check_n_neighbors, write_graph

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)


def tss_neighbors(
    adata: ad.AnnData,
    *,
    n_neighbors: int = 10,
    max_distance: int | None = None,
    key_added: str = "tss",
    copy: bool = False,
) -> ad.AnnData | None:
    """Connect each gene to the genes whose TSS lie nearest on the same chromosome, in the same cell type.

    Parameters
    ----------
    adata
        Genes with ``chrom``, ``tss`` and ``strand`` in ``obs``.
    n_neighbors
        Number of neighbours of each gene, without the gene itself. Genes have fewer on a chromosome with fewer genes,
        which is logged.
    max_distance
        Largest distance in bp between the TSS of two neighbours; by default any.
    key_added
        Name of the graph.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes two ``n_genes x n_genes`` sparse matrices, row = gene, column = neighbour:

        ``obsp["{key_added}_connectivities"]``: 1 for each neighbour.
        ``obsp["{key_added}_distances"]``: TSS of the neighbour minus TSS of the gene in bp, along the *gene's* strand:
        negative upstream, positive downstream, 0 for a shared TSS. Genes of unknown strand are read along the genome.
        ``uns["{key_added}_neighbors"]``: the parameters.

    Raises
    ------
    ValueError
        When ``n_neighbors`` is below 1, a column or a TSS is missing, or no two genes share a chromosome.
    """
    check_n_neighbors(n_neighbors)
    adata = to_change(adata, copy=copy)
    where = positions(adata)
    gene_parts, neighbor_parts = [], []
    for members in adata.obs.groupby([cell_types(adata), where.chrom], observed=True).indices.values():
        pairs = _nearest(where.tss[members], n_neighbors)
        gene_parts.append(members[pairs[0]])
        neighbor_parts.append(members[pairs[1]])
    gene, neighbor = np.concatenate(gene_parts), np.concatenate(neighbor_parts)
    if max_distance is not None:
        near = np.abs(where.distance(gene, neighbor)) <= max_distance
        gene, neighbor = gene[near], neighbor[near]
    if not len(gene):
        within = "" if max_distance is None else f" and lie within max_distance={max_distance} bp"
        msg = f"no two of the {adata.n_obs} genes are neighbours: none share a cell type and a chromosome{within}."
        raise ValueError(msg)
    params = {"n_neighbors": n_neighbors, "max_distance": -1 if max_distance is None else max_distance}
    edges = Edges(gene, neighbor, np.ones(len(gene)))
    write_graph(adata, edges, where, method="tss_neighbors", key_added=key_added, params=params)
    few = int((np.bincount(gene, minlength=adata.n_obs) < n_neighbors).sum())
    if few:
        reason = "too few genes on their chromosome"
        if max_distance is not None:
            reason = f"few genes within {max_distance} bp"
        logger.info(
            "%d of %d genes have fewer than n_neighbors=%d neighbours: %s.", few, adata.n_obs, n_neighbors, reason
        )
    return adata if copy else None


def _nearest(position: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (gene, neighbour) of the nearest points on a line; of equally near ones the first."""
    n = len(position)
    reach = min(n_neighbors, n - 1)
    # The nearest points are among the `reach` before and after each point in sorted order.
    order = np.argsort(position, kind="stable")
    offsets = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
    candidate = np.arange(n)[:, None] + offsets[None, :]
    inside = (candidate >= 0) & (candidate < n)
    candidate = np.clip(candidate, 0, n - 1)
    line = position[order]
    away = np.where(inside, np.abs(line[candidate] - line[:, None]), np.inf)
    best = np.argsort(away, axis=1, kind="stable")[:, :reach]
    gene = np.repeat(np.arange(n), reach)
    return order[gene], order[np.take_along_axis(candidate, best, axis=1).ravel()]

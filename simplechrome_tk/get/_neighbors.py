"""The neighbours of genes in a graph, as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import join_graphs
from simplechrome_tk.core.require import gene_rows, symbols

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from scipy import sparse

    from simplechrome_tk.core.require import Genes


def neighbors(adata: ad.AnnData, *, neighbors_key: str | Sequence[str] = "tss", genes: Genes = None) -> pd.DataFrame:
    """List the neighbours of genes in a graph, the nearest first.

    :func:`neighbor_effects` lists the same neighbours with their effects on a prediction; :func:`neighborhood` copies
    genes and their neighbours into a small AnnData; :func:`nearest_genes` lists genes with similar marks instead.

    Parameters
    ----------
    adata
        Genes with a graph, as :func:`simplechrome_tk.pp.tss_neighbors` writes it.
    neighbors_key
        Name of the graph, or names of several.
    genes
        Names in ``obs_names``, symbols, or a mask; ``None`` for all.

    Returns
    -------
    pandas.DataFrame
        One row for each gene and neighbour, genes in the given order: ``gene`` (id), ``symbol``, ``neighbor`` (id),
        ``neighbor_symbol``, ``distance_bp`` (TSS to TSS along the gene's strand, upstream negative; NaN on another
        chromosome, last) and ``weight`` (of the link). A gene that has no neighbours has no row.

    Raises
    ------
    ValueError
        When the graph is missing or a gene is unknown.

    Examples
    --------
    >>> len(sct.get.neighbors(adata, genes="SIM0007"))
    4
    """
    graph = join_graphs(adata, neighbors_key)
    order, _, table = list_links(adata, gene_rows(adata, genes), graph)
    return table.iloc[np.lexsort((table["distance_bp"].abs(), order))].reset_index(drop=True)


def list_links(
    adata: ad.AnnData, rows: np.ndarray, graph: tuple[sparse.csr_matrix, sparse.csr_matrix]
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """List the links of genes in a graph.

    Parameters
    ----------
    adata
        Genes.
    rows
        Row numbers of the genes, ``(n,)``.
    graph
        Weights and distances, as :func:`simplechrome_tk.core.graph.neighbor_matrices` returns them.

    Returns
    -------
    tuple
        For each link the position of its gene in ``rows`` and the row number of its neighbour, ``(n_links,)`` each; and
        a table with one row for each link: ``gene``, ``symbol``, ``neighbor``, ``neighbor_symbol``, ``distance_bp``
        and ``weight``.
    """
    weights, distances = graph
    pairs = weights[rows].tocoo()
    linked = pairs.data != 0
    order, neighbor, weight = pairs.row[linked], pairs.col[linked], pairs.data[linked]
    gene = rows[order]
    distance = select_values(distances, gene, neighbor)
    # The graph stores 0 for a distance that does not exist; in a table that would read as the same place.
    if k.CHROM in adata.obs:
        chrom = adata.obs[k.CHROM].astype(str).to_numpy()
        distance[chrom[gene] != chrom[neighbor]] = np.nan
    names, symbol = adata.obs_names.to_numpy(), symbols(adata)
    table = pd.DataFrame(
        {
            "gene": names[gene],
            "symbol": symbol[gene],
            "neighbor": names[neighbor],
            "neighbor_symbol": symbol[neighbor],
            "distance_bp": distance,
            "weight": weight,
        }
    )
    return order, neighbor, table


def select_values(matrix: sparse.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return single values of a sparse matrix as a float array; scipy returns a matrix where there are none."""
    return np.asarray(matrix[rows, columns], dtype=float).ravel() if len(rows) else np.empty(0)

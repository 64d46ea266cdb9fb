"""The neighbours of genes in a graph, as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names, join_graphs
from simplechrome_tk.core.require import gene_rows, symbols

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

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
        ``neighbor_symbol``, ``neighbor_chrom`` (chromosome of the neighbour; where ``obs`` has it), ``distance_bp``
        (TSS to TSS along the gene's strand, upstream negative; NaN on another chromosome, last), ``graph`` (name of the
        graph, or names of those of several that link the pair) and ``weight`` (of the link, the largest of several). A
        gene that has no neighbours has no row.

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
    order, _, table = list_links(adata, gene_rows(adata, genes), graph, graph_names(neighbors_key))
    return table.iloc[np.lexsort((table["distance_bp"].abs(), order))].reset_index(drop=True)


def list_links(
    adata: ad.AnnData, rows: np.ndarray, graph: tuple[sparse.csr_matrix, sparse.csr_matrix], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """List the links of genes in a graph.

    Parameters
    ----------
    adata
        Genes.
    rows
        Row numbers of the genes, ``(n,)``.
    graph
        Weights and distances, as :func:`simplechrome_tk.core.graph.join_graphs` returns them.
    names
        Names of the graphs that were joined.

    Returns
    -------
    tuple
        For each link the position of its gene in ``rows`` and the row number of its neighbour, ``(n_links,)`` each; and
        a table with one row for each link: ``gene``, ``symbol``, ``neighbor``, ``neighbor_symbol``, ``neighbor_chrom``,
        ``distance_bp``, ``graph`` and ``weight``.
    """
    weights, distances = graph
    pairs = weights[rows].tocoo()
    linked = pairs.data != 0
    order, neighbor, weight = pairs.row[linked], pairs.col[linked], pairs.data[linked]
    gene = rows[order]
    distance = select_values(distances, gene, neighbor)
    ids, symbol = adata.obs_names.to_numpy(), symbols(adata)
    columns = {
        "gene": ids[gene],
        "symbol": symbol[gene],
        "neighbor": ids[neighbor],
        "neighbor_symbol": symbol[neighbor],
    }
    # The graph stores 0 for a distance that does not exist; in a table that would read as the same place.
    if k.CHROM in adata.obs:
        chrom = adata.obs[k.CHROM].astype(str).to_numpy()
        distance[chrom[gene] != chrom[neighbor]] = np.nan
        columns["neighbor_chrom"] = chrom[neighbor]
    linking = _name_graphs(adata, names, gene, neighbor)
    return order, neighbor, pd.DataFrame({**columns, "distance_bp": distance, "graph": linking, "weight": weight})


def _name_graphs(adata: ad.AnnData, names: Sequence[str], gene: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
    """Return for each pair the names of the graphs that link it, separated by commas."""
    links = [sparse.csr_matrix(adata.obsp[k.CONNECTIVITIES.format(name)]) for name in names]
    links_pair = np.stack([select_values(weights, gene, neighbor) != 0 for weights in links], axis=1)
    # There are few combinations of graphs, and many pairs.
    found, of_pair = np.unique(links_pair, axis=0, return_inverse=True)
    texts = [", ".join(name for name, links in zip(names, row, strict=True) if links) for row in found]
    return np.array(texts, dtype=object)[of_pair.ravel()]


def select_values(matrix: sparse.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return single values of a sparse matrix as a float array; scipy returns a matrix where there are none."""
    return np.asarray(matrix[rows, columns], dtype=float).ravel() if len(rows) else np.empty(0)

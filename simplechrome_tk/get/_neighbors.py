"""The neighbours of genes in a graph, as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import neighbor_matrices
from simplechrome_tk.core.require import gene_rows, symbols

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes


def neighbors(adata: ad.AnnData, *, key: str = "tss", genes: Genes = None) -> pd.DataFrame:
    """List the neighbours of genes in a graph, the nearest first.

    Parameters
    ----------
    adata
        Genes with a graph, as :func:`simplechrome_tk.pp.tss_neighbors` writes it.
    key
        Name of the graph.
    genes
        Names in ``obs_names``, symbols, or a mask; ``None`` for all.

    Returns
    -------
    pandas.DataFrame
        One row per gene and neighbour, genes in the order asked for: ``gene`` (id), ``symbol``, ``neighbor`` (id),
        ``neighbor_symbol``, ``distance_bp`` (TSS to TSS along the gene's strand, upstream negative; NaN on another
        chromosome, last) and ``weight`` (of the link). A gene that has no neighbours has no row.

    Raises
    ------
    ValueError
        When the graph is missing or a gene is unknown.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> sct.pp.tss_neighbors(adata, n_neighbors=4)
    >>> len(sct.get.neighbors(adata, genes="SIM0007"))
    4
    """
    weights, distances = (sparse.csr_matrix(matrix) for matrix in neighbor_matrices(adata, key))
    rows = gene_rows(adata, genes)
    pairs = weights[rows].tocoo()
    linked = pairs.data != 0
    asked, neighbor, weight = pairs.row[linked], pairs.col[linked], pairs.data[linked]
    gene = rows[asked]
    distance = np.asarray(distances[gene, neighbor], dtype=float).ravel() if len(gene) else np.empty(0)
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
    return table.iloc[np.lexsort((np.abs(distance), asked))].reset_index(drop=True)

"""Simulated related genes, anywhere in the genome, some of which act on a gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import positions
from simplechrome_tk.pp._graph import Edges, write_graph

if TYPE_CHECKING:
    import anndata as ad

RELATED = "related"
"""Name of the graph of simulated related genes."""

# Weights of the graph: mean, standard deviation, and how much larger the mean is where the related gene acts. By its
# weight alone, a pair that acts is told from another with an AUROC of .59, that of two normal distributions whose means
# differ by a third of their standard deviation.
_MEAN, _SD, _MORE = 0.5, 0.15, 0.05
_LOWEST, _HIGHEST = 0.05, 1.0


def plant_related(adata: ad.AnnData, able: np.ndarray, n_related: int, rng: np.random.Generator) -> sparse.csr_matrix:
    """Draw related genes for each gene, write them as a graph, and return which of them act.

    Parameters
    ----------
    adata
        Simulated genes; the graph ``"related"`` is written to it.
    able
        Which genes act on the genes that they are related to, ``(n_genes,)``.
    n_related
        Number of related genes of each gene, drawn from all others.
    rng
        Generator.

    Returns
    -------
    scipy.sparse.csr_matrix
        1 for a related gene that acts, ``(n_genes, n_genes)``; row = gene, column = related gene.
    """
    n = adata.n_obs
    gene = np.repeat(np.arange(n), n_related)
    # Of the n - 1 other genes, those from the number of the gene on are shifted by one.
    drawn = np.concatenate([rng.choice(n - 1, n_related, replace=False) for _ in range(n)])
    related = drawn + (drawn >= gene)
    acts = able[related]
    weight = np.clip(rng.normal(_MEAN + _MORE * acts, _SD), _LOWEST, _HIGHEST)
    params = {"n_neighbors": n_related}
    edges = Edges(gene, related, weight)
    write_graph(adata, edges, positions(adata), method=k.SIMULATE, key_added=RELATED, params=params)
    return sparse.csr_matrix((np.ones(int(acts.sum())), (gene[acts], related[acts])), shape=(n, n))

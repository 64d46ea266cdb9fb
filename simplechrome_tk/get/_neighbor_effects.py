"""What each neighbouring gene does to a gene, as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import symbols
from simplechrome_tk.tl.attribution._stored import attributed_rows, neighbor_matrix, record

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.core.require import Genes


def neighbor_effects(adata: ad.AnnData, *, key: str = k.ATTRIBUTION, genes: Genes = None) -> pd.DataFrame:
    """List the neighbours of genes with the summed effect of all marks of each.

    Parameters
    ----------
    adata
        Genes with the attributions that :func:`simplechrome_tk.tl.attribute` wrote for a model with neighbours, and the
        graph it was trained on.
    key
        Name of the attributions.
    genes
        Names in ``obs_names``, symbols, or a mask; ``None`` for all. Those without attributions are left out and
        counted in the log.

    Returns
    -------
    pandas.DataFrame
        One row per gene and neighbour, genes in the order asked for, the strongest neighbour of a gene first: ``gene``
        (id), ``symbol``, ``neighbor`` (id), ``neighbor_symbol``, ``distance_bp`` (TSS to TSS along the gene's strand,
        upstream negative; NaN on another chromosome), ``weight`` (of the link in the graph) and ``effect`` (in the unit
        ``uns[key]["unit"]``). A gene that has no neighbours has no row.

    Raises
    ------
    ValueError
        When there are no attributions, the model has no neighbours, the graph is missing or has changed since, or none
        of these genes has attributions.
    """
    rows = attributed_rows(adata, key, genes)
    effects = neighbor_matrix(adata, key)[rows]
    weights, distances = _graph(adata, key)
    weights = weights[rows]
    weights.eliminate_zeros()
    pairs = weights.tocoo()
    linked = sparse.csr_matrix((np.ones(weights.nnz), weights.indices, weights.indptr), shape=weights.shape)
    strange = effects - effects.multiply(linked)
    strange.eliminate_zeros()
    if strange.nnz:
        graph = record(adata, key)["neighbors_key"]
        msg = (
            f"{strange.nnz} effects of neighbours in attributions {key!r} are of pairs that the graph {graph!r} does "
            "not link: it has changed since. Run sct.tl.attribute(adata, model) again."
        )
        raise ValueError(msg)
    gene, neighbor = rows[pairs.row], pairs.col
    names, symbol = adata.obs_names.to_numpy(), symbols(adata)
    table = pd.DataFrame(
        {
            "gene": names[gene],
            "symbol": symbol[gene],
            "neighbor": names[neighbor],
            "neighbor_symbol": symbol[neighbor],
            "distance_bp": _picked(distances, gene, neighbor),
            "weight": pairs.data,
            "effect": _picked(effects, pairs.row, neighbor),
        }
    )
    if k.CHROM in adata.obs:
        chrom = adata.obs[k.CHROM].astype(str).to_numpy()
        table.loc[chrom[gene] != chrom[neighbor], "distance_bp"] = np.nan
    return table.iloc[np.lexsort((-table["effect"].abs(), pairs.row))].reset_index(drop=True)


def _picked(matrix: sparse.csr_matrix, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.asarray(matrix[rows, columns], dtype=float).ravel() if len(rows) else np.empty(0)


def _graph(adata: ad.AnnData, key: str) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return weights and distances of the graph that the attributed model reads."""
    graph = record(adata, key)["neighbors_key"]
    slots = (k.CONNECTIVITIES.format(graph), k.DISTANCES.format(graph))
    missing = [slot for slot in slots if slot not in adata.obsp]
    if missing:
        msg = (
            f"obsp has no {' and '.join(missing)} (found: {', '.join(adata.obsp)}): attributions {key!r} are of a "
            f"model that reads the graph {graph!r}; make it as for the model, for example with "
            f"sct.pp.tss_neighbors(adata, key_added={graph!r})."
        )
        raise ValueError(msg)
    weights, distances = (sparse.csr_matrix(adata.obsp[slot]) for slot in slots)
    return weights, distances

"""Effects of neighbouring genes, as a tidy table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import graph_names, join_graphs
from simplechrome_tk.get._neighbors import list_links, select_values
from simplechrome_tk.tl.attribution._stored import read_neighbor_effects, read_record, select_attributed

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from scipy import sparse

    from simplechrome_tk.core.require import Genes


def neighbor_effects(adata: ad.AnnData, *, key: str = k.ATTRIBUTION, genes: Genes = None) -> pd.DataFrame:
    """List the neighbours of genes with the summed effect of all marks of each, the strongest first.

    The neighbours are those of :func:`neighbors`, in the graph that the model was trained on.
    :func:`neighbor_attributions` divides the effect of a neighbour among its bins.

    Parameters
    ----------
    adata
        Genes with the attributions that :func:`simplechrome_tk.tl.attribute` wrote for a model with neighbours, and the
        graph that the model was trained on.
    key
        Name of the attributions.
    genes
        Names in ``obs_names``, symbols, or a mask; ``None`` for all. Genes without attributions are left out and
        counted in the log.

    Returns
    -------
    pandas.DataFrame
        One row for each gene and neighbour, genes in the given order, the strongest neighbour of a gene first: ``gene``
        (id), ``symbol``, ``neighbor`` (id), ``neighbor_symbol``, ``neighbor_chrom``, ``distance_bp`` (TSS to TSS along
        the gene's strand, upstream negative; NaN on another chromosome), ``graph`` (name of the graph, or names of
        those of several that link the pair), ``weight`` (of the link, the largest of several) and ``effect`` (in the
        unit ``uns[key]["unit"]``). A gene that has no neighbours has no row.

    Raises
    ------
    ValueError
        When there are no attributions, the model has no neighbours, the graph is missing or has changed since, or none
        of these genes has attributions.

    Examples
    --------
    >>> sct.tl.attribute(adata, model, genes="SIM0007", progress=False)
    >>> len(sct.get.neighbor_effects(adata, genes="SIM0007"))
    4
    """
    rows = select_attributed(adata, key, genes)
    effects = read_neighbor_effects(adata, key)[rows]
    graph = _read_graph(adata, key)
    _check_links(effects, graph[0][rows], adata, key)
    order, neighbor, table = list_links(adata, rows, graph, graph_names(read_record(adata, key)["neighbors_key"]))
    table["effect"] = select_values(effects, order, neighbor)
    return table.iloc[np.lexsort((-table["effect"].abs(), order))].reset_index(drop=True)


def _read_graph(adata: ad.AnnData, key: str) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return weights and distances of the graph that the attributed model reads."""
    names = graph_names(read_record(adata, key)["neighbors_key"])
    try:
        return join_graphs(adata, names)
    except ValueError as error:
        graphs = ", ".join(map(repr, names))
        msg = f"{error} Attributions {key!r} are of a model that reads the graph {graphs}: make it as for that model."
        raise ValueError(msg) from error


def _check_links(effects: sparse.csr_matrix, weights: sparse.csr_matrix, adata: ad.AnnData, key: str) -> None:
    """Raise ``ValueError`` when there are effects of genes that the graph does not link."""
    # Effects are stored for the links that the graph had; an effect on a pair that is no link now shows the change.
    unlinked = effects - effects.multiply(weights != 0)
    unlinked.eliminate_zeros()
    if unlinked.nnz:
        graphs = ", ".join(map(repr, graph_names(read_record(adata, key)["neighbors_key"])))
        msg = (
            f"{unlinked.nnz} effects of neighbours in attributions {key!r} are of pairs that the graph {graphs} does "
            f"not link: it has changed since. Run sct.tl.attribute(adata, model, key_added={key!r}) again."
        )
        raise ValueError(msg)

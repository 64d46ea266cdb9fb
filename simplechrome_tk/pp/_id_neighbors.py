"""Graph of genes with adjacent ids, the neighbours in the SimpleChrome publication."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.require import cell_types, gene_ids
from simplechrome_tk.core.write import to_change
from simplechrome_tk.pp._graph import Edges, write_graph

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)


def id_neighbors(
    adata: ad.AnnData, *, n_neighbors: int = 20, key_added: str = "id", copy: bool = False
) -> ad.AnnData | None:
    """Connect each gene to the genes before and after it in the sorted order of ids, in the same cell type.

    Use this only to reproduce the SimpleChrome publication (Cheng et al., arXiv 2012.08671), whose code appends the
    10 genes on either side in a table sorted by id. Such genes are rarely neighbours in the genome, since Ensembl
    numbered most genes in the order of discovery: 37 % of them lie on the chromosome of the gene, and 7 % are among its
    twenty nearest genes. For neighbours in the genome use :func:`tss_neighbors` or :func:`contact_neighbors`.

    Parameters
    ----------
    adata
        Genes with ``chrom``, ``tss`` and ``strand`` in ``obs``. Their ids are ``obs_names``, without the suffix that
        :func:`stack_cell_types` adds. Ids are sorted as numbers if all are numbers.
    n_neighbors
        Number of neighbours of each gene, half of them before and half after it; an even number. Genes at either end of
        the order have fewer, which is logged.
    key_added
        Name of the graph.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes two ``n_genes x n_genes`` sparse matrices, row = gene, column = neighbour:

        ``obsp["{key_added}_connectivities"]``: 1 for each neighbour.
        ``obsp["{key_added}_distances"]``: as :func:`tss_neighbors` for neighbours on the same chromosome; 0 for
        neighbours on another one, which :class:`simplechrome_tk.nn.Graph` reads as no direction and no distance.
        ``uns["{key_added}_neighbors"]``: the parameters, and ``same_chromosome``, the share of neighbours on the
        chromosome of the gene.

    Raises
    ------
    ValueError
        When ``n_neighbors`` is not an even number above 0, a column or a TSS is missing, or no cell type has two genes.

    Examples
    --------
    >>> import anndata as ad, pandas as pd, simplechrome_tk as sct
    >>> obs = pd.DataFrame({"chrom": ["chr1", "chr2", "chr1"], "tss": [500, 70, 900], "strand": "-"}, index=list("acb"))
    >>> adata = sct.pp.id_neighbors(ad.AnnData(obs=obs), n_neighbors=2, copy=True)
    >>> adata.obsp["id_connectivities"].toarray().astype(int).tolist()
    [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    >>> adata.obsp["id_distances"].toarray().tolist()
    [[0.0, 0.0, -400.0], [0.0, 0.0, 0.0], [400.0, 0.0, 0.0]]
    """
    if n_neighbors < 2 or n_neighbors % 2:
        msg = f"n_neighbors is {n_neighbors}; expected an even number, half of it on either side: 2, 4, ..., 20."
        raise ValueError(msg)
    adata = to_change(adata, copy=copy)
    where = positions(adata)
    gene, neighbor = _adjacent(adata, n_neighbors)
    if not len(gene):
        msg = f"no two of the {adata.n_obs} genes share a cell type; expected at least two in one cell type."
        raise ValueError(msg)
    share = float((where.chrom[gene] == where.chrom[neighbor]).mean())
    edges = Edges(gene, neighbor, np.ones(len(gene)))
    write_graph(
        adata,
        edges,
        where,
        method="id_neighbors",
        key_added=key_added,
        params={"n_neighbors": n_neighbors},
        record={"same_chromosome": share},
    )
    few = int((np.bincount(gene, minlength=adata.n_obs) < n_neighbors).sum())
    logger.info(
        "id_neighbors: %.0f %% of %d neighbours by id lie on the gene's chromosome; %d genes at the ends of the order "
        "have fewer than %d.",
        100 * share,
        len(gene),
        few,
        n_neighbors,
    )
    return adata if copy else None


def _adjacent(adata: ad.AnnData, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (gene, neighbour) of genes that are adjacent by id in their cell type."""
    ids = gene_ids(adata)
    # Ids of at most 15 digits are exact as floats.
    order = np.argsort(ids.astype(float) if ids.str.fullmatch(r"\d{1,15}").all() else ids, kind="stable")
    half = n_neighbors // 2
    offsets = np.concatenate([np.arange(-half, 0), np.arange(1, half + 1)])
    gene_parts, neighbor_parts = [], []
    for _, members in pd.Series(order).groupby(cell_types(adata).to_numpy()[order]):
        line = members.to_numpy()
        place = np.arange(len(line))[:, None] + offsets
        inside = (place >= 0) & (place < len(line))
        gene_parts.append(np.repeat(line, inside.sum(axis=1)))
        neighbor_parts.append(line[place[inside]])
    return np.concatenate(gene_parts), np.concatenate(neighbor_parts)

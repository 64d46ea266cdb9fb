"""What the gene-gene graphs share: where genes lie, and how a graph is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from simplechrome_tk import _keys as k
from simplechrome_tk._require import obs_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad


class Positions(NamedTuple):
    """Where each gene lies, shape ``(n_genes,)`` each."""

    chrom: np.ndarray
    tss: np.ndarray
    sign: np.ndarray
    """-1 on the minus strand, else 1: genes of unknown strand are read along the genome."""

    def distance(self, gene: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
        """TSS of the neighbour minus TSS of the gene in bp along the gene's strand; 0 on another chromosome."""
        along = (self.tss[neighbor] - self.tss[gene]) * self.sign[gene]
        return np.where(self.chrom[gene] == self.chrom[neighbor], along, 0.0)


class Edges(NamedTuple):
    """Links of a graph: rows of ``adata`` and weight, shape ``(n_links,)`` each."""

    gene: np.ndarray
    neighbor: np.ndarray
    weight: np.ndarray


def positions(adata: ad.AnnData) -> Positions:
    """Read the position of each gene, or raise a ``ValueError`` where one is missing."""
    fix = "store each gene's position there (see sct.pp.bin_peaks)"
    chrom = obs_column(adata, k.CHROM, fix=fix).astype(str).to_numpy()
    tss = obs_column(adata, k.TSS, fix=fix).to_numpy(float)
    if (nowhere := np.isnan(tss)).any():
        msg = f"{int(nowhere.sum())} genes have no tss, such as {adata.obs_names[nowhere][0]!r}; leave them out."
        raise ValueError(msg)
    return Positions(chrom, tss, np.where(obs_column(adata, k.STRAND, fix=fix) == "-", -1.0, 1.0))


def write_graph(
    adata: ad.AnnData, edges: Edges, where: Positions, *, key_added: str, record: Mapping[str, object]
) -> None:
    """Write connectivities, distances and the record of a graph."""
    shape = (adata.n_obs, adata.n_obs)
    links = (edges.gene, edges.neighbor)
    slots = {"connectivities": k.CONNECTIVITIES.format(key_added), "distances": k.DISTANCES.format(key_added)}
    distance = where.distance(*links)
    adata.obsp[slots["connectivities"]] = sparse.csr_matrix((edges.weight.astype(np.float32), links), shape=shape)
    adata.obsp[slots["distances"]] = sparse.csr_matrix((distance, links), shape=shape)
    adata.uns[f"{key_added}_neighbors"] = {**{f"{name}_key": slot for name, slot in slots.items()}, **record}


def check_n_neighbors(n_neighbors: int) -> None:
    """Raise ``ValueError`` below 1."""
    if n_neighbors < 1:
        msg = f"n_neighbors is {n_neighbors}; expected at least 1."
        raise ValueError(msg)

"""What the gene-gene graphs share: where genes lie, and how a graph is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from simplechrome_tk import _keys as k
from simplechrome_tk._require import chromosomes, obs_column, obs_numbers
from simplechrome_tk._write import write_whole

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
    chrom = chromosomes(adata, fix=fix).to_numpy()
    tss = obs_numbers(adata, k.TSS, fix=fix)
    if (nowhere := ~(np.isfinite(tss) & (tss >= 0))).any():
        msg = (
            f"{int(nowhere.sum())} genes have no tss, such as {adata.obs_names[nowhere][0]!r} (found "
            f"{tss[nowhere][0]:g}; expected a position in bp); leave them out."
        )
        raise ValueError(msg)
    return Positions(chrom, tss, np.where(obs_column(adata, k.STRAND, fix=fix) == "-", -1.0, 1.0))


def write_graph(
    adata: ad.AnnData,
    edges: Edges,
    where: Positions,
    *,
    method: str,
    key_added: str,
    params: Mapping[str, object],
    record: Mapping[str, object] | None = None,
) -> None:
    """Write connectivities, distances and the record of a graph, in the form in which scanpy's tools read it.

    Scanpy's ``umap`` asks for ``method``, what made the graph, and for ``use_rep``, what places may start from.
    """
    shape = (adata.n_obs, adata.n_obs)
    links = (edges.gene, edges.neighbor)
    slots = {"connectivities": k.CONNECTIVITIES.format(key_added), "distances": k.DISTANCES.format(key_added)}
    distance = where.distance(*links)
    pairs = [
        ("obsp", slots["connectivities"], sparse.csr_matrix((edges.weight.astype(np.float32), links), shape=shape)),
        ("obsp", slots["distances"], sparse.csr_matrix((distance, links), shape=shape)),
    ]
    keys = {f"{name}_key": slot for name, slot in slots.items()}
    made = {**keys, "params": {"method": method, "use_rep": "X", **params}, **(record or {})}
    write_whole(adata, pairs, records={f"{key_added}_neighbors": made})


def check_n_neighbors(n_neighbors: int) -> None:
    """Raise ``ValueError`` below 1."""
    if n_neighbors < 1:
        msg = f"n_neighbors is {n_neighbors}; expected at least 1."
        raise ValueError(msg)

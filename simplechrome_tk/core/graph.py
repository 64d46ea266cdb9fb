"""Positions of genes, and graphs between genes, read from an AnnData and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import sparse

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_data, chromosomes, obs_column, obs_numbers

if TYPE_CHECKING:
    import anndata as ad

_BY_POSITION = ("tss_neighbors", "contact_neighbors")
"""Functions of ``sct.pp`` whose graphs connect genes by where they lie: side by side, or in contact."""


class Positions(NamedTuple):
    """Chromosome, TSS and strand of each gene, shape ``(n_genes,)`` each."""

    chrom: np.ndarray
    tss: np.ndarray
    sign: np.ndarray
    """-1 on the minus strand, otherwise 1: genes of unknown strand are read along the genome."""

    def distance(self, gene: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
        """Return TSS of the neighbour minus TSS of the gene in bp along the gene's strand; 0 on another chromosome."""
        along = (self.tss[neighbor] - self.tss[gene]) * self.sign[gene]
        return np.where(self.chrom[gene] == self.chrom[neighbor], along, 0.0)


def positions(adata: ad.AnnData) -> Positions:
    """Read the position of each gene; raise a ``ValueError`` when one is missing."""
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


def graph_names(neighbors_key: object) -> tuple[str, ...]:
    """Return the names of the graphs that a ``neighbors_key`` names: none, one or several.

    An empty string names none, as in the record of attributions; names that were read from a file are in an array.
    """
    if neighbors_key is None or isinstance(neighbors_key, str):
        return (neighbors_key,) if neighbors_key else ()
    return tuple(map(str, np.asarray(neighbors_key).tolist()))


def is_by_position(adata: ad.AnnData, name: str) -> bool:
    """Whether the record of a graph says that it connects genes by where they lie in the genome.

    Other graphs connect genes anywhere, such as those that are expressed together. A graph without a record counts as
    one of these, since nothing is known about it.
    """
    record = adata.uns.get(k.GRAPH_RECORD.format(name))
    params = record.get("params") if isinstance(record, Mapping) else None
    return isinstance(params, Mapping) and params.get("method") in _BY_POSITION


def join_graphs(adata: ad.AnnData, neighbors_key: object) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return weights and distances of all pairs in one graph or several; a pair in several has its largest weight."""
    weights, distances = zip(*(neighbor_matrices(adata, name) for name in graph_names(neighbors_key)), strict=True)
    joined_weights, joined_distances = weights[0], distances[0]
    for other_weights, other_distances in zip(weights[1:], distances[1:], strict=True):
        # All graphs measure a distance in the same way, so that it only has to be added where it was not stored.
        missing = other_distances - other_distances.multiply(joined_distances != 0)
        joined_weights, joined_distances = joined_weights.maximum(other_weights), joined_distances + missing
    return sparse.csr_matrix(joined_weights).sorted_indices(), sparse.csr_matrix(joined_distances).sorted_indices()


def neighbor_matrices(adata: ad.AnnData, key: str) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return connectivities and distances of the graph ``key`` in ``obsp``, CSR, after checking every link."""
    check_data(adata)
    slots = (k.CONNECTIVITIES.format(key), k.DISTANCES.format(key))
    missing = [slot for slot in slots if slot not in adata.obsp]
    if missing:
        msg = (
            f"obsp has no {' and '.join(missing)} (found: {', '.join(adata.obsp) or 'none'}): make the graph first, "
            f"such as with sct.pp.coexpression_neighbors or sct.pp.tss_neighbors(adata, key_added={key!r})."
        )
        raise ValueError(msg)
    # Files and other tools may store the links of a gene in any order; sorted, every copy is the same graph.
    connectivities, distances = (sparse.csr_matrix(adata.obsp[slot]).sorted_indices() for slot in slots)
    for slot, matrix in zip(slots, (connectivities, distances), strict=True):
        _check_links(adata, slot, matrix, "missing or infinite values", ~np.isfinite(matrix.data))
    _check_links(adata, slots[0], connectivities, "negative weights", connectivities.data < 0)
    pairs = connectivities.tocoo()
    own = (pairs.row == pairs.col) & (pairs.data != 0)
    _check_links(adata, slots[0], connectivities, "links of a gene to itself", own)
    return connectivities, distances


def _check_links(adata: ad.AnnData, slot: str, matrix: sparse.csr_matrix, what: str, wrong: np.ndarray) -> None:
    """Raise ``ValueError`` when a stored link is in the mask ``wrong``, ``(n_links,)``."""
    if wrong.any():
        gene = np.searchsorted(matrix.indptr, np.flatnonzero(wrong)[0], side="right") - 1
        msg = (
            f"obsp[{slot!r}] holds {int(wrong.sum())} {what}, the first of gene {adata.obs_names[gene]!r}; expected "
            "for each neighbour of a gene a positive weight and a distance in bp. Make the graph again with "
            "a function of sct.pp such as tss_neighbors, or correct it at its source."
        )
        raise ValueError(msg)

"""Gene-gene graphs as padded tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.csgraph import reverse_cuthill_mckee

from simplechrome_tk.nn._network import Neighbors

if TYPE_CHECKING:
    from collections.abc import Sequence


class Graph:
    """Neighbours of every gene in one or several graphs, padded to the largest number any gene has.

    Parameters
    ----------
    graphs
        Pairs of matrices, each ``(n_genes, n_genes)``: connectivities, where a stored, non-zero value makes the column
        a neighbour of the row, and distances, signed in bp, negative upstream, 0 where nothing is stored.

    Attributes
    ----------
    index
        ``(n_genes, n_neighbors)`` row numbers; padding points at the gene itself.
    edges
        ``(n_genes, n_neighbors, n_graphs + 2)``: weight in each graph, 0 where the pair is not connected in it; side
        (-1 upstream, 1 downstream); ``log10(1 + kb)``.
    mask
        ``(n_genes, n_neighbors)``, true where there is a neighbour.
    order
        An order of the genes ``(n_genes,)`` in which neighbours lie close to each other.
    """

    def __init__(self, graphs: Sequence[tuple[sparse.spmatrix, sparse.spmatrix]]) -> None:
        # A pair that several graphs connect is one neighbour with several weights.
        union = sum(sparse.csr_array(weights != 0, dtype=np.float32) for weights, _ in graphs)
        pairs = sparse.csr_array(union).sorted_indices().tocoo()
        gene, neighbor = pairs.coords
        weights, bp = [], np.zeros(len(gene))
        for connectivities, distances in graphs:
            weights.append(_values(connectivities, gene, neighbor))
            bp = np.where(bp == 0, _values(distances, gene, neighbor), bp)
        n_genes = pairs.shape[0]
        degree = np.bincount(gene, minlength=n_genes)
        # Pairs are sorted by gene: the slot of a pair is its number less that of the first pair of its gene.
        slot = np.arange(len(gene)) - np.repeat(np.cumsum(degree) - degree, degree)
        # Unused slots point at the gene itself, which a batch needs anyway; the mask hides them.
        width = int(degree.max())
        index = np.repeat(np.arange(n_genes)[:, None], width, axis=1)
        edges = np.zeros((n_genes, width, n_edge_features(len(graphs))), dtype=np.float32)
        mask = np.zeros((n_genes, width), dtype=bool)
        index[gene, slot] = neighbor
        edges[gene, slot] = np.stack([*weights, np.sign(bp), np.log10(1 + np.abs(bp) / 1_000)], axis=1)
        mask[gene, slot] = True
        self.index, self.edges, self.mask = torch.from_numpy(index), torch.from_numpy(edges), torch.from_numpy(mask)
        # Neighbours then lie close to each other, as in the rows of a band matrix.
        self.order = torch.from_numpy(reverse_cuthill_mckee(sparse.csr_matrix(union)).astype(np.int64))

    def to(self, device: torch.device) -> Graph:
        """Move the tensors to a device, in place."""
        self.index, self.edges, self.mask = self.index.to(device), self.edges.to(device), self.mask.to(device)
        return self

    def of(self, genes: torch.Tensor, latents: torch.Tensor) -> Neighbors:
        """Gather the neighbours of ``genes`` from ``latents`` ``(n_genes, n_latent)``."""
        return Neighbors(latents[self.index[genes]], self.edges[genes], self.mask[genes])

    def closure(self, genes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find all genes that a batch needs, each once.

        Returns
        -------
        tuple
            Row numbers of the needed genes ``(n_needed,)``; position among them of each gene of the batch ``(batch,)``
            and of each of its neighbours ``(batch, n_neighbors)``.
        """
        neighbors = self.index[genes]
        needed, place = torch.unique(torch.cat([genes, neighbors.flatten()]), return_inverse=True)
        return needed, place[: len(genes)], place[len(genes) :].reshape(neighbors.shape)


def n_edge_features(n_graphs: int) -> int:
    """Return the number of features of an edge: weight in each graph, side and distance."""
    return n_graphs + 2


def _values(matrix: sparse.spmatrix, gene: np.ndarray, neighbor: np.ndarray) -> np.ndarray:
    """Return the values of pairs, ``(n_pairs,)``; 0 where nothing is stored."""
    # With an empty index scipy returns a sparse matrix, with any other an array.
    return np.asarray(matrix.tocsr()[gene, neighbor], dtype=float).ravel() if len(gene) else np.empty(0)

"""A gene-gene graph as padded tensors, and batches that follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.sparse.csgraph import reverse_cuthill_mckee

from simplechrome_tk.nn._network import Neighbors

if TYPE_CHECKING:
    from scipy import sparse

# Weight, side and distance of a neighbour.
N_EDGE_FEATURES = 3
# Genes that lie together and are put into the same batch together.
_BLOCK = 16


class Graph:
    """Neighbours of every gene, padded to the largest number any gene has.

    Parameters
    ----------
    connectivities
        ``(n_genes, n_genes)``; a stored, non-zero value makes the column a neighbour of the row.
    distances
        Same shape; signed distance in bp, negative upstream, 0 where nothing is stored.

    Attributes
    ----------
    index
        ``(n_genes, n_neighbors)`` row numbers; padding points at the gene itself.
    edges
        ``(n_genes, n_neighbors, 3)``: weight, side (-1 upstream, 1 downstream), ``log10(1 + kb)``.
    mask
        ``(n_genes, n_neighbors)``, true where there is a neighbour.
    """

    def __init__(self, connectivities: sparse.spmatrix, distances: sparse.spmatrix) -> None:
        pairs = connectivities.tocsr().tocoo()
        kept = pairs.data != 0
        gene, neighbor, weight = pairs.row[kept], pairs.col[kept], pairs.data[kept]
        # With an empty index scipy returns a sparse matrix, with any other an array.
        bp = np.asarray(distances.tocsr()[gene, neighbor]).ravel() if len(gene) else np.empty(0)
        n_genes = connectivities.shape[0]
        degree = np.bincount(gene, minlength=n_genes)
        # Pairs are sorted by gene: the slot of a pair is its number less that of the first pair of its gene.
        slot = np.arange(len(gene)) - np.repeat(np.cumsum(degree) - degree, degree)
        # Unused slots point at the gene itself, which a batch needs anyway; the mask hides them.
        width = int(degree.max())
        index = np.repeat(np.arange(n_genes)[:, None], width, axis=1)
        edges = np.zeros((n_genes, width, N_EDGE_FEATURES), dtype=np.float32)
        mask = np.zeros((n_genes, width), dtype=bool)
        index[gene, slot] = neighbor
        edges[gene, slot] = np.stack([weight, np.sign(bp), np.log10(1 + np.abs(bp) / 1_000)], axis=1)
        mask[gene, slot] = True
        self.index, self.edges, self.mask = torch.from_numpy(index), torch.from_numpy(edges), torch.from_numpy(mask)
        # An order of the genes in which neighbours lie close to each other, as rows of a band matrix.
        self.order = torch.from_numpy(reverse_cuthill_mckee(connectivities.tocsr()).astype(np.int64))

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

    def shuffle(self, genes: torch.Tensor) -> torch.Tensor:
        """Draw an order of ``genes`` in which small groups of neighbours stay together.

        A batch then holds most of the neighbours of its genes: training end to end encodes about 1.8 genes for each
        gene of a batch, instead of the gene and all its neighbours.
        """
        is_drawn = torch.zeros(len(self.order), dtype=torch.bool)
        is_drawn[genes.cpu()] = True
        ordered = self.order[is_drawn[self.order]]
        # Groups begin at another gene each time, so that not always the same genes lie at the edge of a group.
        ordered = ordered.roll(int(torch.randint(_BLOCK, ())))
        groups = ordered.split(_BLOCK)
        return torch.cat([groups[i] for i in torch.randperm(len(groups))]).to(genes.device)

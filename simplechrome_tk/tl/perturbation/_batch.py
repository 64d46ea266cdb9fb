"""Small sets of genes with their neighbours, with the marks that a model is to read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class GeneSignal(NamedTuple):
    """Marks of genes.

    Attributes
    ----------
    rows
        Row number of each gene in the AnnData, ``(n_genes,)``.
    signal, x
        Signal, and ``X`` that it is normalised to, ``(n_genes, n_columns)`` each.
    """

    rows: np.ndarray
    signal: np.ndarray
    x: np.ndarray

    def take(self, places: np.ndarray) -> GeneSignal:
        """Return the genes at these places; a place may occur several times."""
        return GeneSignal(*(values[places] for values in self))

    def replace_at(self, places: np.ndarray, new: GeneSignal) -> GeneSignal:
        """Return the same genes, with the marks of ``new`` at these places."""
        signal, x = self.signal.copy(), self.x.copy()
        signal[places], x[places] = new.signal, new.x
        return GeneSignal(self.rows, signal, x)


class NeighborEdges(NamedTuple):
    """Edges from genes to their neighbours.

    Attributes
    ----------
    gene
        Place of the gene among those that are predicted, ``(n_edges,)``.
    neighbor
        The neighbour, ``(n_edges,)``: its row number in the AnnData or, in a :class:`Batch`, its place among
        ``Batch.neighbors``.
    weights
        Weight in each graph that the model reads, ``(n_edges, n_graphs)``.
    distance
        Distance in bp, ``(n_edges,)``.
    """

    gene: np.ndarray
    neighbor: np.ndarray
    weights: np.ndarray
    distance: np.ndarray


class Batch(NamedTuple):
    """Genes to predict, the neighbours that the model reads with them, and the edges between them."""

    genes: GeneSignal
    neighbors: GeneSignal
    edges: NeighborEdges


def join_signals(parts: list[GeneSignal]) -> GeneSignal:
    """Put the genes of several parts into one, in order."""
    return GeneSignal(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def join_batches(batches: list[Batch]) -> Batch:
    """Put several batches into one, so that they are predicted together; edges are renumbered."""
    n_genes = np.cumsum([0, *(len(batch.genes.rows) for batch in batches)])
    n_neighbors = np.cumsum([0, *(len(batch.neighbors.rows) for batch in batches)])
    edges = [
        batch.edges._replace(
            gene=batch.edges.gene + n_genes[number], neighbor=batch.edges.neighbor + n_neighbors[number]
        )
        for number, batch in enumerate(batches)
    ]
    return Batch(
        join_signals([batch.genes for batch in batches]),
        join_signals([batch.neighbors for batch in batches]),
        NeighborEdges(*(np.concatenate(values) for values in zip(*edges, strict=True))),
    )


def count_unchanged(before: Batch, after: Batch) -> int:
    """Count genes for which neither their own marks nor those of their neighbours differ."""
    changed = (before.genes.signal != after.genes.signal).any(axis=1)
    changed_neighbor = (before.neighbors.signal != after.neighbors.signal).any(axis=1)
    changed[before.edges.gene[changed_neighbor[before.edges.neighbor]]] = True
    return int((~changed).sum())

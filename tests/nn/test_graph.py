"""A gene-gene graph as tensors, and the batches that follow it."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse
from toy_networks import ring

from simplechrome_tk.nn._graph import Graph

LOG2 = float(np.log10(2))


def test_graph_pads_and_keeps_signed_distances():
    graph = ring(6)
    assert graph.index.shape == (6, 2)
    assert graph.mask.sum(dim=1).tolist() == [0, 2, 2, 2, 2, 0]
    assert graph.index[2].tolist() == [1, 3]
    torch.testing.assert_close(graph.edges[2], torch.tensor([[1.0, -1.0, LOG2], [1.0, 1.0, LOG2]]))


def test_graph_keeps_neighbors_at_distance_zero():
    one = sparse.csr_matrix(np.array([[0, 1], [1, 0]], dtype=float))
    graph = Graph([(one, sparse.csr_matrix((2, 2)))])
    assert graph.mask.all()
    assert graph.edges[:, 0].tolist() == [[1, 0, 0], [1, 0, 0]]


def test_closure_holds_each_needed_gene_once():
    graph = ring(10)
    genes = torch.tensor([3, 4, 8])
    needed, place, around = graph.closure(genes)
    assert needed.tolist() == [2, 3, 4, 5, 7, 8, 9]
    assert needed[place].tolist() == genes.tolist()
    assert torch.equal(needed[around], graph.index[genes])


def test_graphs_are_joined_and_keep_their_weights():
    first = sparse.csr_matrix(np.array([[0, 2, 0], [0, 0, 0], [0, 0, 0]], dtype=float))
    second = sparse.csr_matrix(np.array([[0, 5, 7], [0, 0, 0], [0, 0, 0]], dtype=float))
    bp = sparse.csr_matrix(np.array([[0, 0, -1_000], [0, 0, 0], [0, 0, 0]], dtype=float))
    graph = Graph([(first, sparse.csr_matrix((3, 3))), (second, bp)])
    assert graph.index[0].tolist() == [1, 2]
    torch.testing.assert_close(graph.edges[0], torch.tensor([[2.0, 5.0, 0.0, 0.0], [0.0, 7.0, -1.0, LOG2]]))
    assert graph.mask.sum(dim=1).tolist() == [2, 0, 0]

"""Attention over neighbours: invariances, and what is absent."""

from __future__ import annotations

import pytest
import torch
from toy_networks import N_COLUMNS, network

from simplechrome_tk.nn._attention import NeighborAttention


def test_attention_ignores_absent_neighbors_and_their_order():
    torch.manual_seed(0)
    attention = NeighborAttention(n_latent=4, n_edge=2, n_context=8)
    latent, around, edges = torch.randn(3, 4), torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    mask = torch.tensor([[True] * 3 + [False] * 2] * 2 + [[False] * 5])
    context = attention(latent, around, edges, mask)
    assert context.shape == (3, 8)
    changed = torch.where(mask[..., None], around, torch.full_like(around, 99.0))
    torch.testing.assert_close(attention(latent, changed, edges, mask), context)
    order = torch.randperm(5)
    torch.testing.assert_close(attention(latent, around[:, order], edges[:, order], mask[:, order]), context)
    assert torch.equal(context[2], torch.zeros(8)), "a gene without neighbours has a context of 0"
    other = attention(latent, around + 1.0, edges, mask)
    assert not torch.allclose(other[:2], context[:2])


def test_network_with_attention_asks_for_neighbors():
    with pytest.raises(ValueError, match="attends to neighbours"):
        network(n_graphs=1)(torch.randn(2, N_COLUMNS))

"""Attention of a gene to its neighbours."""

from __future__ import annotations

import torch
from torch import nn


class NeighborAttention(nn.Module):
    """Multi-head attention of a gene's latent to the latents of its neighbours and their distances.

    Keys and values come from a small network that reads the neighbour's latent *and* the edge, so that the same
    neighbour may act in one way upstream and in another way downstream.

    A learnt key with the value 0 stands beside the neighbours. A gene can attend to it instead of to any neighbour, and
    a gene without neighbours gets a context of 0.

    Parameters
    ----------
    n_latent
        Dimensions of the latents.
    n_edge
        Features of each gene-neighbour pair.
    n_context
        Dimensions of the context; a multiple of ``n_heads``.
    n_heads
        Attention heads.
    """

    def __init__(self, *, n_latent: int, n_edge: int, n_context: int = 32, n_heads: int = 4) -> None:
        super().__init__()
        self.n_heads, self.n_context = n_heads, n_context
        self.query = nn.Linear(n_latent, n_context)
        self.pair = nn.Sequential(
            nn.Linear(n_latent + n_edge, 2 * n_context), nn.GELU(), nn.Linear(2 * n_context, 2 * n_context)
        )
        self.null_key = nn.Parameter(torch.zeros(n_context))

    def forward(
        self, latent: torch.Tensor, neighbors: torch.Tensor, edges: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the context of each gene.

        Parameters
        ----------
        latent
            ``(batch, n_latent)``.
        neighbors
            ``(batch, n_neighbors, n_latent)``; the content of absent neighbours has no effect.
        edges
            ``(batch, n_neighbors, n_edge)``.
        mask
            ``(batch, n_neighbors)``, true where there is a neighbour.

        Returns
        -------
        torch.Tensor
            ``(batch, n_context)``.
        """
        key, value = self.pair(torch.cat([neighbors, edges], dim=-1)).chunk(2, dim=-1)
        # The first of the keys stands for no neighbour, and is never masked.
        null = self.null_key.expand(len(latent), 1, -1)
        key = torch.cat([null, key], dim=1)
        value = torch.cat([torch.zeros_like(null), value], dim=1)
        is_attended = torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)
        context = nn.functional.scaled_dot_product_attention(
            self._split(self.query(latent)[:, None, :]),
            self._split(key),
            self._split(value),
            attn_mask=is_attended[:, None, None, :],
        )
        return context.transpose(1, 2).flatten(1)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)

"""Small networks, a graph and data with known answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from simplechrome_tk.nn._build import build_network
from simplechrome_tk.nn._graph import Graph
from simplechrome_tk.nn._loss import Targets
from simplechrome_tk.nn._vae import RegionShape

if TYPE_CHECKING:
    from simplechrome_tk.nn._network import SimpleChromeNet
    from simplechrome_tk.nn._vae import Latent

REGIONS = [RegionShape(3, 100), RegionShape(3, 20)]
N_COLUMNS = 360


def network(*, neighbors: bool = False, dropout: float = 0.0, n_latent: int = 6) -> SimpleChromeNet:
    """Return a small network with weights of seed 0."""
    torch.manual_seed(0)
    return build_network(REGIONS, n_latent=n_latent, n_hidden=16, dropout=dropout, neighbors=neighbors).eval()


def ring(n: int) -> Graph:
    """Return a graph in which each gene's neighbours are those before and after it; the first and last have none."""
    gene = np.repeat(np.arange(1, n - 1), 2)
    neighbor = gene + np.tile([-1, 1], n - 2)
    shape = (n, n)
    return Graph(
        sparse.csr_matrix((np.ones(len(gene)), (gene, neighbor)), shape=shape),
        sparse.csr_matrix(((neighbor - gene) * 1_000.0, (gene, neighbor)), shape=shape),
    )


def toy(n: int = 300) -> tuple[torch.Tensor, Targets]:
    """Return marks of genes whose expression is the level of the first mark."""
    generator = torch.Generator().manual_seed(0)
    level = torch.randn(n, 3, 1, generator=generator)
    x = (level + 0.5 * torch.randn(n, 3, 120, generator=generator)).reshape(n, -1)
    expression = (level[:, 0, 0] - level[:, 0, 0].mean()) / level[:, 0, 0].std()
    return x, Targets((expression > 0).float(), expression)


def in_two_passes(net: SimpleChromeNet, x: torch.Tensor) -> tuple[Latent, Latent]:
    """Encode with dropout, then again without."""
    latent = net.train().encode(x)
    whole = net.eval().encode(x)
    net.train()
    return latent, whole

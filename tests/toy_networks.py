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


def network(*, n_graphs: int = 0, n_reference: int = 0, dropout: float = 0.0, n_latent: int = 6) -> SimpleChromeNet:
    """Return a small network with weights of seed 0; a context, if it has one, adds nothing yet."""
    torch.manual_seed(0)
    return build_network(
        REGIONS, n_latent=n_latent, n_hidden=16, dropout=dropout, n_graphs=n_graphs, n_reference=n_reference
    ).eval()


def with_random_context(net: SimpleChromeNet) -> SimpleChromeNet:
    """Give the last layer of a context weights that are not 0, so that it adds something."""
    assert net.context is not None
    torch.nn.init.normal_(net.context.head[-1].weight)
    return net


def ring(n: int) -> Graph:
    """Return a graph in which each gene's neighbours are those before and after it; the first and last have none."""
    gene = np.repeat(np.arange(1, n - 1), 2)
    neighbor = gene + np.tile([-1, 1], n - 2)
    shape = (n, n)
    links = (gene, neighbor)
    weights = sparse.csr_matrix((np.ones(len(gene)), links), shape=shape)
    return Graph([(weights, sparse.csr_matrix(((neighbor - gene) * 1_000.0, links), shape=shape))])


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

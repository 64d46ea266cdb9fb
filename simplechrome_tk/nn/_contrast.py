"""The change of expression between two conditions, predicted from the marks of a gene in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from simplechrome_tk.nn._network import Output
from simplechrome_tk.nn._predict import encode, evaluating, predict_latents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._network import Neighbors, SimpleChromeNet
    from simplechrome_tk.nn._vae import Latent

# Genes at a time, which bounds the memory.
_CHUNK = 4_096


class Contrast(nn.Module):
    """The part of a predicted change that two conditions add together, beyond the difference of their predictions.

    Exchanging the conditions changes the sign of the output, and equal conditions give exactly 0: a small network reads
    both conditions in one order and in the other, and the output is linear in the difference of its hidden units. A new
    contrast adds nothing.

    Parameters
    ----------
    n_inputs
        What is read of each condition: latent, summaries of the marks, and predicted log expression.
    n_hidden
        Number of hidden units.
    dropout
        Fraction of them that is dropped in training.
    """

    def __init__(self, *, n_inputs: int, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(2 * n_inputs, n_hidden), nn.GELU())
        self.dropout = nn.Dropout(dropout)
        # A constant would not change its sign.
        self.out = nn.Linear(n_hidden, 1, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, of: torch.Tensor, against: torch.Tensor) -> torch.Tensor:
        """Map two conditions ``(batch, n_inputs)`` to what is added to their difference, ``(batch,)``."""
        there = self.hidden(torch.cat([of, against], dim=1))
        back = self.hidden(torch.cat([against, of], dim=1))
        return self.out(self.dropout(there - back)).squeeze(1)


def describe(
    net: SimpleChromeNet, latent: torch.Tensor, x: torch.Tensor, neighbors: Neighbors | None = None
) -> torch.Tensor:
    """Return what :class:`Contrast` reads of genes in one condition, ``(batch, n_inputs)``.

    The last column is the predicted log expression, in standard units.
    """
    predicted = net.express(latent, x, neighbors).log_expression
    return torch.cat([latent, net.summarise(x), predicted[:, None]], dim=1)


def describe_all(net: SimpleChromeNet, x: torch.Tensor, *, graph: Graph | None) -> torch.Tensor:
    """Return :func:`describe` of all genes ``(n_genes, n_inputs)``, computed in chunks."""
    latents = encode(net, x).mean
    genes = torch.arange(len(x), device=x.device)
    predicted = predict_latents(net, latents, x, graph=graph, genes=genes).log_expression
    with evaluating(net):
        summaries = torch.cat([net.summarise(chunk) for chunk in x.split(_CHUNK)])
    return torch.cat([latents, summaries, predicted[:, None]], dim=1)


def change(net: SimpleChromeNet, of: torch.Tensor, against: torch.Tensor) -> torch.Tensor:
    """Return the predicted change of log expression between two conditions, in standard units, ``(batch,)``.

    It is the difference of the two predictions and, where the network has one, what its contrast adds.

    Parameters
    ----------
    net
        The network.
    of, against
        The conditions, as :func:`describe` returns them.
    """
    difference = of[:, -1] - against[:, -1]
    return difference if net.contrast is None else difference + net.contrast(of, against)


def predict_change(
    networks: Sequence[SimpleChromeNet], of: Sequence[torch.Tensor], against: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return the mean of :func:`change` over several networks, in standard units, ``(n_genes,)``.

    ``of`` and ``against`` hold for each network the conditions as it describes them.
    """
    parts = []
    for net, *conditions in zip(networks, of, against, strict=True):
        with evaluating(net):
            parts.append(change(net, *conditions))
    return torch.stack(parts).mean(dim=0)


class PairNetwork(nn.Module):
    """The predicted change as a network of the marks in one condition; the other condition is part of its input.

    Attributions of its output explain the change: on the way from the marks of one condition to those of the other,
    the output moves from 0 to the whole change.

    Parameters
    ----------
    net
        The network.
    n_inputs
        Number of columns of the input that ``net`` reads.
    start
        Number of the column from which on the other condition is stored, as :func:`describe` returns it.
    """

    def __init__(self, net: SimpleChromeNet, *, n_inputs: int, start: int) -> None:
        super().__init__()
        self.net, self.n_inputs, self.start = net, n_inputs, start

    def encode(self, x: torch.Tensor) -> Latent:
        """Map inputs to latents, as ``net`` does."""
        return self.net.encode(x[:, : self.n_inputs])

    def express(self, latent: torch.Tensor, x: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Return the change, as both parts of :class:`Output`."""
        of = describe(self.net, latent, x[:, : self.n_inputs], neighbors)
        against = x[:, self.start : self.start + of.shape[1]]
        value = change(self.net, of, against)
        return Output(value, value)

    def forward(self, x: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Return the change of genes ``(batch, n_inputs)`` whose neighbours, if any, are given as latents."""
        return self.express(self.encode(x).mean, x, neighbors)

"""Predictions of many genes, in chunks, by a network that stays as it was."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from simplechrome_tk.nn._compute import one_thread
from simplechrome_tk.nn._likelihood import NegativeBinomialLikelihood
from simplechrome_tk.nn._network import Output
from simplechrome_tk.nn._vae import Latent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._network import SimpleChromeNet

# Genes at a time, which bounds the memory.
_CHUNK = 4_096


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, without gradients and on one CPU thread, and back into the mode it was in."""
    was_training = net.training
    net.eval()
    try:
        with torch.no_grad(), one_thread():
            yield
    finally:
        net.train(was_training)


def encode(net: SimpleChromeNet, x: torch.Tensor) -> Latent:
    """Encode all genes ``(n_genes, n_columns)`` in chunks."""
    with evaluating(net):
        parts = [net.encode(chunk) for chunk in x.split(_CHUNK)]
    return Latent(*(torch.cat(part) for part in zip(*parts, strict=True)))


def predict(
    net: SimpleChromeNet, x: torch.Tensor, *, graph: Graph | None = None, genes: torch.Tensor | None = None
) -> Output:
    """Predict in chunks, encoding each gene that is needed once.

    Parameters
    ----------
    net
        The network.
    x
        ``(n_genes, n_inputs)``.
    graph
        Neighbours, for a network that attends to them.
    genes
        Row numbers of the genes to predict; all by default.

    Returns
    -------
    Output
        Predictions of ``genes``, in their order.
    """
    if genes is None:
        genes = torch.arange(len(x), device=x.device)
    # Neighbours are needed as well, whether or not they are predicted.
    needed = genes if graph is None else graph.closure(genes)[0]
    mean = encode(net, x[needed]).mean
    latents = mean.new_zeros(len(x), mean.shape[1])
    latents[needed] = mean
    return predict_latents(net, latents, x, graph=graph, genes=genes)


def predict_latents(
    net: SimpleChromeNet, latents: torch.Tensor, x: torch.Tensor, *, graph: Graph | None, genes: torch.Tensor
) -> Output:
    """Predict ``genes`` in chunks from latents ``(n_genes, n_latent)`` that were computed already."""
    with evaluating(net):
        parts = [
            net.express(latents[chunk], x[chunk], None if graph is None else graph.of(chunk, latents))
            for chunk in genes.split(_CHUNK)
        ]
    return Output(*(torch.cat(part) for part in zip(*parts, strict=True)))


def predict_own(net: SimpleChromeNet, x: torch.Tensor) -> Output:
    """Predict all genes ``(n_genes, n_inputs)`` from their own marks alone, without what the context adds."""
    latents = encode(net, x).mean
    with evaluating(net):
        return net.express_own(latents)


def predict_network(net: nn.Module, x: torch.Tensor) -> Output:
    """Predict all genes ``(n_genes, n_columns)`` in chunks with a network that reads each gene alone."""
    with evaluating(net):
        parts = [net(chunk) for chunk in x.split(_CHUNK)]
    return Output(*(torch.cat(part) for part in zip(*parts, strict=True)))


def decode(net: SimpleChromeNet, latents: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
    """Decode latents to normalised signal, ``(n_points, n_columns)``.

    Parameters
    ----------
    net
        The network.
    latents
        ``(n_points, n_latent)``.
    conditions
        Weight of each condition, ``(n_points, n_conditions)``.
    """
    with evaluating(net):
        pairs = zip(latents.split(_CHUNK), conditions.split(_CHUNK), strict=True)
        decoded = torch.cat([net.decode(*pair) for pair in pairs])
        noise = net.likelihood
        # A decoder of counts returns the logarithm of the expected count before softplus; others the signal itself.
        if isinstance(noise, NegativeBinomialLikelihood):
            log_count = functional.softplus(decoded * noise.scale + noise.center)
            decoded = (log_count - noise.center) / noise.scale
    return decoded

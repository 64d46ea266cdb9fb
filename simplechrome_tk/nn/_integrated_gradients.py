"""Integrated gradients of a gene's own marks and its neighbours', with every gene encoded once a step."""

from __future__ import annotations

import warnings
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from simplechrome_tk.nn._network import Neighbors, Output, SimpleChromeNet


_FORWARD = Lock()
"""Torch keeps one stack of forward derivatives for all threads, which two at a time would tear down."""


class Effects(NamedTuple):
    """``own`` ``(batch, n_columns)``: of each column of the gene; ``neighbors`` ``(batch, n_neighbors)``: summed."""

    own: torch.Tensor
    neighbors: torch.Tensor


def integrated_gradients(
    net: SimpleChromeNet,
    read: Callable[[Output], torch.Tensor],
    x: torch.Tensor,
    baseline: torch.Tensor,
    *,
    genes: torch.Tensor,
    neighbors: Neighbors,
    n_steps: int,
) -> Effects:
    r"""Attribute predictions to the genes' own columns and to each neighbour as a whole.

    All inputs move from the baseline to their values together, so that own and neighbours' effects of a gene sum to its
    prediction less that at the baseline (Sundararajan et al. 2017, Gauss-Legendre quadrature as in Captum).

    A step encodes each needed gene once, however many genes it neighbours. With :math:`z_j(\alpha)` the latent of gene
    ``j`` on its path, what neighbour ``j`` does to gene ``i`` is
    :math:`\int \partial f_i / \partial z_j \cdot \mathrm{d}z_j / \mathrm{d}\alpha \; \mathrm{d}\alpha`, the sum over
    the neighbour's columns of its integrated gradients; :math:`\mathrm{d}z_j / \mathrm{d}\alpha` is one
    Jacobian-vector product for all whose neighbour ``j`` is.

    Parameters
    ----------
    net
        A network with attention, in evaluation mode.
    read
        From the network's output to the value that is attributed, ``(batch,)``.
    x, baseline
        ``(n_needed, n_columns)`` each, of the genes to explain and of their neighbours.
    genes
        Which of these to explain, ``(batch,)``.
    neighbors
        Of each; its ``x`` ``(batch, n_neighbors)`` says which of the needed genes they are.
    n_steps
        Points of the quadrature.

    Returns
    -------
    Effects
        Of ``genes``, in their order; absent neighbours get 0.
    """
    path = x - baseline
    own = torch.zeros_like(path[genes])
    heard = torch.zeros(neighbors.mask.shape, device=x.device)
    for alpha, weight in zip(*_quadrature(n_steps), strict=True):
        at = baseline + alpha * path
        latent, velocity = _move(net, at, path)
        own_at = at[genes].requires_grad_()
        heard_latent = latent[neighbors.x].requires_grad_()
        value = read(net.express(net.encode(own_at).mean, neighbors._replace(x=heard_latent)))
        own_gradient, heard_gradient = torch.autograd.grad(value.sum(), (own_at, heard_latent))
        own += weight * own_gradient
        heard += weight * (heard_gradient * velocity[neighbors.x]).sum(dim=-1)
    return Effects(own * path[genes], heard * neighbors.mask)


def _move(net: SimpleChromeNet, at: torch.Tensor, path: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents at a point of the paths, and how fast they change there, ``(n_needed, n_latent)`` each."""
    with _FORWARD, torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script")  # a call of torch itself
        latent, velocity, *_ = torch.func.jvp(lambda x: net.encode(x).mean, (at,), (path,))
    return latent, velocity


def _quadrature(n_steps: int) -> tuple[list[float], list[float]]:
    """Points and weights of Gauss-Legendre quadrature on 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    return ((points + 1) / 2).tolist(), (weights / 2).tolist()

"""Integrated gradients of a gene's own marks and of those of its neighbours."""

from __future__ import annotations

import warnings
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from simplechrome_tk.nn._network import Neighbors

if TYPE_CHECKING:
    from collections.abc import Callable

    from simplechrome_tk.nn._network import Output, SimpleChromeNet


# Torch keeps one stack of forward derivatives for all threads: two threads that use it at the same time corrupt it.
_FORWARD = Lock()
# Genes whose latents are computed at once, which bounds the memory.
_CHUNK = 4_096


class Effects(NamedTuple):
    """Effects on the prediction of each gene.

    ``own`` ``(batch, n_columns)`` are those of the columns of the gene itself, ``neighbors`` ``(batch, n_neighbors)``
    those of its neighbours, each summed over the columns of the neighbour.
    """

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
    at_once: int | None = None,
) -> Effects:
    r"""Attribute predictions to the genes' own columns and to each neighbour as a whole.

    All inputs move from the baseline to their values together, so that the effects of a gene's own marks and of its
    neighbours sum to its prediction minus the prediction at the baseline (Sundararajan et al. 2017, with Gauss-Legendre
    quadrature as in Captum).

    Each step encodes each gene once, however many genes it is a neighbour of. With :math:`z_j(\alpha)` the latent of
    gene ``j`` on its path, the effect of neighbour ``j`` on gene ``i`` is
    :math:`\int \partial f_i / \partial z_j \cdot \mathrm{d}z_j / \mathrm{d}\alpha \; \mathrm{d}\alpha`, the sum over
    the neighbour's columns of its integrated gradients; :math:`\mathrm{d}z_j / \mathrm{d}\alpha` is one
    Jacobian-vector product, which serves all genes with that neighbour.

    Parameters
    ----------
    net
        A network with attention, in evaluation mode.
    read
        Function from the network's output to the value that is attributed, ``(batch,)``.
    x, baseline
        Inputs and their baseline, ``(n_needed, n_columns)`` each, of the genes to explain and of their neighbours.
    genes
        Row numbers in ``x`` of the genes to explain, ``(batch,)``.
    neighbors
        Neighbours of these genes. Its ``x`` ``(batch, n_neighbors)`` holds row numbers in ``x``, not marks.
    n_steps
        Number of points of the quadrature.
    at_once
        Number of explained genes whose gradients are computed at once, which bounds the memory; all by default.

    Returns
    -------
    Effects
        Effects on ``genes``, in their order; absent neighbours have an effect of 0.
    """
    path = x - baseline
    own = torch.zeros_like(path[genes])
    of_neighbors = torch.zeros(neighbors.mask.shape, device=x.device)
    for alpha, weight in zip(*_quadrature(n_steps), strict=True):
        # All genes, explained or neighbours, stand at the same fraction of their paths. Their latents, and how fast
        # these change along the path, are computed once for each gene.
        at = baseline + alpha * path
        latent, velocity = _latent_and_velocity(net, at, path)
        for part in torch.arange(len(genes), device=x.device).split(at_once or len(genes)):
            # Two leaves of the graph of gradients: the inputs of the explained genes, and the latents of their
            # neighbours. A gene that is both is two separate inputs here, one in each place.
            own_inputs = at[genes[part]].requires_grad_()
            around = Neighbors(*(values[part] for values in neighbors))
            neighbor_latent = latent[around.x].requires_grad_()
            value = read(net.express(net.encode(own_inputs).mean, own_inputs, around._replace(x=neighbor_latent)))
            own_gradient, neighbor_gradient = torch.autograd.grad(value.sum(), (own_inputs, neighbor_latent))

            # The path of own inputs is a straight line and is multiplied at the end. Latents move along a curve, so
            # that their gradient is multiplied by their velocity in each step.
            own[part] += weight * own_gradient
            of_neighbors[part] += weight * (neighbor_gradient * velocity[around.x]).sum(dim=-1)
    return Effects(own * path[genes], of_neighbors * neighbors.mask)


def _latent_and_velocity(
    net: SimpleChromeNet, at: torch.Tensor, path: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return latents at a point of the paths, and their derivatives along them, ``(n_needed, n_latent)`` each."""
    parts = []
    with _FORWARD, torch.no_grad(), warnings.catch_warnings():
        # Torch itself calls what it warns of.
        warnings.filterwarnings("ignore", message=".*torch.jit.script")
        for points, directions in zip(at.split(_CHUNK), path.split(_CHUNK), strict=True):
            latent, velocity, *_ = torch.func.jvp(lambda x: net.encode(x).mean, (points,), (directions,))
            parts.append((latent, velocity))
    latents, velocities = zip(*parts, strict=True)
    return torch.cat(latents), torch.cat(velocities)


def _quadrature(n_steps: int) -> tuple[list[float], list[float]]:
    """Return points and weights of Gauss-Legendre quadrature on the interval from 0 to 1."""
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    return ((points + 1) / 2).tolist(), (weights / 2).tolist()

"""Networks that return the explained value, as modules with the inputs that Captum attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from simplechrome_tk.nn._network import Neighbors

if TYPE_CHECKING:
    from collections.abc import Callable

    from simplechrome_tk import nn
    from simplechrome_tk.nn._vae import Latent

    TargetFunction = Callable[[Any], torch.Tensor]


class GeneReadout(torch.nn.Module):
    """The explained value of a network that reads each gene by itself."""

    def __init__(self, net: torch.nn.Module, readout: TargetFunction) -> None:
        super().__init__()
        self.net, self.readout = net, readout

    def forward(self, marks: torch.Tensor, covariates: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, n_explained)`` and ``(batch, n_covariates)`` to ``(batch,)``."""
        return self.readout(self.net(torch.cat([marks, covariates], dim=1)))


class NeighborReadout(GeneReadout):
    """The explained value of a network that reads a gene and its neighbours."""

    def forward(  # type: ignore[override]  # Captum hands each input over by position
        self,
        marks: torch.Tensor,
        neighbor_marks: torch.Tensor,
        covariates: torch.Tensor,
        neighbor_covariates: torch.Tensor,
        edges: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Map marks of genes and of their neighbours ``(batch, n_neighbors, n_explained)`` to ``(batch,)``."""
        neighbors = Neighbors(torch.cat([neighbor_marks, neighbor_covariates], dim=2), edges, mask)
        return self.readout(self.net(torch.cat([marks, covariates], dim=1), neighbors))


class Encoder(torch.nn.Module):
    """The part of a network that computes the latent."""

    def __init__(self, net: nn.SimpleChromeNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: torch.Tensor) -> Latent:
        """Map ``(batch, n_columns + n_covariates)`` to a :class:`simplechrome_tk.Latent`."""
        return self.net.encode(x)


class LatentReadout(torch.nn.Module):
    """The explained value of a network that reads a gene's marks and the latents of its neighbours."""

    net: Any

    def __init__(self, net: torch.nn.Module, readout: TargetFunction) -> None:
        super().__init__()
        self.net, self.readout = net, readout

    def forward(
        self,
        marks: torch.Tensor,
        latents: torch.Tensor,
        covariates: torch.Tensor,
        edges: torch.Tensor,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """Map marks of genes and latents of their neighbours ``(batch, n_neighbors, n_latent)`` to ``(batch,)``."""
        x = torch.cat([marks, covariates], dim=1)
        return self.readout(self.net.express(self.net.encode(x).mean, x, Neighbors(latents, edges, mask)))

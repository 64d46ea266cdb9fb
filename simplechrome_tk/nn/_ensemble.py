"""An ensemble: several networks whose mean is the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from simplechrome_tk.nn._network import Output
from simplechrome_tk.nn._predict import predict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simplechrome_tk.nn._graph import Graph
    from simplechrome_tk.nn._network import Neighbors, SimpleChromeNet
    from simplechrome_tk.nn._vae import Latent


class Ensemble(nn.Module):
    """Networks of the same architecture, trained from different seeds; their mean output is the prediction.

    Each network has its own latents, which cannot be averaged. The latents of an ensemble are those of its first
    network.

    Parameters
    ----------
    members
        The networks, at least one.
    """

    def __init__(self, members: Iterable[SimpleChromeNet]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def networks(self) -> list[SimpleChromeNet]:
        """The members, as a list."""
        return cast("list[SimpleChromeNet]", list(self.members))

    @property
    def first(self) -> SimpleChromeNet:
        """The network whose latents are those of the ensemble."""
        return self.networks[0]

    def encode(self, x: torch.Tensor) -> Latent:
        """Map ``(batch, n_columns + n_covariates)`` to the first member's :class:`Latent`."""
        return self.first.encode(x)

    def forward(self, x: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Predict from marks and covariates ``(batch, n_columns + n_covariates)``, and those of neighbours."""
        return mean_output([member(x, neighbors) for member in self.members])

    def predict_all(self, x: torch.Tensor, *, graph: Graph | None = None) -> Output:
        """Predict all genes ``(n_genes, n_columns + n_covariates)``; each gene is encoded once by each network."""
        return mean_output([predict(net, x, graph=graph) for net in self.networks])


def mean_output(outputs: list[Output]) -> Output:
    """Return the mean of the outputs of several networks."""
    return Output(*(torch.stack(values).mean(dim=0) for values in zip(*outputs, strict=True)))

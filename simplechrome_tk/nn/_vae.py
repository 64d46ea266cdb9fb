"""The latent model: a variational autoencoder over the marks of one gene."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class RegionShape(NamedTuple):
    """How the columns of one region view: ``(n_marks, n_bins)``, mark-major."""

    n_marks: int
    n_bins: int


class Latent(NamedTuple):
    """A diagonal Gaussian over latents: ``mean`` and ``log_var``, each ``(batch, n_latent)``."""

    mean: torch.Tensor
    log_var: torch.Tensor

    def sample(self) -> torch.Tensor:
        """Draw by the reparametrisation trick, shape ``(batch, n_latent)``."""
        return self.mean + torch.randn_like(self.mean) * torch.exp(0.5 * self.log_var)

    def kl(self) -> torch.Tensor:
        """Kullback-Leibler divergence from the standard normal, shape ``(batch, n_latent)``, in nats."""
        return 0.5 * (self.mean.square() + self.log_var.exp() - 1.0 - self.log_var)


class RegionEncoder(nn.Module):
    """Strided convolutions along the bins of one region, beside the plain mean of each mark over coarse stretches.

    Parameters
    ----------
    shape
        Marks and bins of the region.
    n_channels
        Channels of each convolution.

    Notes
    -----
    The means are what a linear model would read; the convolutions add shape. Strides keep them cheap: the published
    network, without them, trains at a tenth of the speed (``benchmarks/throughput.py``).
    """

    _N_STRETCHES = 4

    def __init__(self, shape: RegionShape, *, n_channels: int = 64) -> None:
        super().__init__()
        self.shape = shape
        kernel = max(1, min(10, shape.n_bins // 5))
        layers: list[nn.Module] = [
            nn.Conv1d(shape.n_marks, n_channels, kernel, stride=max(1, kernel // 2)),
            nn.GELU(),
        ]
        steps = (shape.n_bins - kernel) // max(1, kernel // 2) + 1
        if steps >= 4:
            layers += [nn.Conv1d(n_channels, n_channels, 4, stride=2), nn.GELU()]
            steps = (steps - 4) // 2 + 1
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        stretches = min(self._N_STRETCHES, shape.n_bins)
        self.means = nn.Sequential(nn.AdaptiveAvgPool1d(stretches), nn.Flatten())
        self.n_features = n_channels * steps + shape.n_marks * stretches

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, n_marks, n_bins)`` to ``(batch, n_features)``."""
        return torch.cat([self.convolutions(x), self.means(x)], dim=1)


class Encoder(nn.Module):
    """Marks of a gene to a Gaussian over its latent, one :class:`RegionEncoder` per region.

    Parameters
    ----------
    regions
        Shape of each region, in column order.
    n_covariates
        Columns behind those of the regions, such as the gene's length: they join the regions' features as they are.
    n_latent
        Dimensions of the latent.
    n_hidden
        Width of the layer that joins the regions.
    dropout
        Fraction of region features and of hidden units dropped in training.
    """

    def __init__(
        self,
        regions: Sequence[RegionShape],
        *,
        n_latent: int,
        n_hidden: int,
        dropout: float,
        n_covariates: int = 0,
    ) -> None:
        super().__init__()
        encoders = [RegionEncoder(shape) for shape in regions]
        self.regions = nn.ModuleList(encoders)
        self.widths = [*(shape.n_marks * shape.n_bins for shape in regions), n_covariates]
        self.shapes = list(regions)
        self.joint = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(sum(encoder.n_features for encoder in encoders) + n_covariates, n_hidden),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.to_latent = nn.Linear(n_hidden, 2 * n_latent)

    def forward(self, x: torch.Tensor) -> Latent:
        """Map ``(batch, n_columns)`` to a :class:`Latent`."""
        *regions, covariates = x.split(self.widths, dim=1)
        features = [
            encode(columns.unflatten(1, shape))
            for encode, columns, shape in zip(self.regions, regions, self.shapes, strict=True)
        ]
        return Latent(*self.to_latent(self.joint(torch.cat([*features, covariates], dim=1))).chunk(2, dim=1))


class Decoder(nn.Sequential):
    """Latent ``(batch, n_latent)`` to the expected normalised signal ``(batch, n_columns)``."""

    def __init__(self, *, n_latent: int, n_hidden: int, n_columns: int) -> None:
        super().__init__(nn.Linear(n_latent, n_hidden), nn.GELU(), nn.Linear(n_hidden, n_columns))

"""The latent model: a variational autoencoder over the marks of one gene."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class RegionShape(NamedTuple):
    """Number of marks and of bins of a region, whose columns hold all bins of the first mark first."""

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


class LatentEncoder(nn.Module, ABC):
    """Encoder from the marks of a gene to a Gaussian over its latent, in two steps: features, and latents from them."""

    @abstractmethod
    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, n_columns + n_covariates)`` to ``(batch, n_features)``, without dropout."""

    @abstractmethod
    def latent(self, features: torch.Tensor) -> Latent:
        """Map ``(batch, n_features)`` to a :class:`Latent`."""

    def summarise(self, x: torch.Tensor) -> torch.Tensor:
        """Return means and maxima of each mark over stretches of each region, ``(batch, n_summaries)``."""
        return x.new_zeros(len(x), 0)

    def forward(self, x: torch.Tensor) -> Latent:
        """Map ``(batch, n_columns + n_covariates)`` to a :class:`Latent`."""
        return self.latent(self.features(x))


class RegionEncoder(nn.Module):
    """Features of one region: strided convolutions along its bins, and means and maxima of each mark over stretches.

    Each mark is read twice: as normalised signal, and as the presence ``s / (s + 0.5)`` of its log signal ``s``, which
    separates a bin without signal from one with little.

    Parameters
    ----------
    shape
        Marks and bins of the region.
    center, scale
        Constants of each mark, shape ``(n_marks,)``, by which ``x * scale + center`` is the log signal; ``None`` is 0
        and 1.
    n_channels
        Number of channels of each convolution.

    Notes
    -----
    Means and maxima are the features that trees and linear models read; the convolutions add the shape of the signal.
    Strides make convolutions cheap: the published network, which has none, trains at a tenth of the speed
    (``benchmarks/throughput.py``).
    """

    # Stretches of a region over which means and maxima are computed.
    _N_STRETCHES = 4
    # Log signal at which a mark is half present.
    _HALF = 0.5

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self,
        shape: RegionShape,
        *,
        center: torch.Tensor | None = None,
        scale: torch.Tensor | None = None,
        n_channels: int = 64,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("center", torch.zeros(shape.n_marks) if center is None else center)
        self.register_buffer("scale", torch.ones(shape.n_marks) if scale is None else scale)
        # A fifth of the bins, 10 at most, in steps of half of that; then, if enough steps are left, half as many again.
        kernel = max(1, min(10, shape.n_bins // 5))
        layers: list[nn.Module] = [
            nn.Conv1d(2 * shape.n_marks, n_channels, kernel, stride=max(1, kernel // 2)),
            nn.GELU(),
        ]
        steps = (shape.n_bins - kernel) // max(1, kernel // 2) + 1
        if steps >= 4:
            layers += [nn.Conv1d(n_channels, n_channels, 4, stride=2), nn.GELU()]
            steps = (steps - 4) // 2 + 1
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        stretches = min(self._N_STRETCHES, shape.n_bins)
        self.means = nn.Sequential(nn.AdaptiveAvgPool1d(stretches), nn.Flatten())
        self.maxima = nn.Sequential(nn.AdaptiveMaxPool1d(stretches), nn.Flatten())
        self.n_features = n_channels * steps + 3 * shape.n_marks * stretches

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, n_marks, n_bins)`` to ``(batch, n_features)``."""
        # Rounding may leave a log signal just below 0, where no signal is.
        signal = torch.relu(x * self.scale[:, None] + self.center[:, None])
        both = torch.cat([x, signal / (signal + self._HALF)], dim=1)
        # The presence rises with the signal, so that its maxima would say nothing more.
        return torch.cat([self.convolutions(both), self.means(both), self.maxima(x)], dim=1)

    def summarise(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, n_marks, n_bins)`` to means and maxima over stretches, ``(batch, n_summaries)``."""
        return torch.cat([self.means(x), self.maxima(x)], dim=1)


class Encoder(LatentEncoder):
    """Encoder from the marks of a gene to a Gaussian over its latent, with one :class:`RegionEncoder` for each region.

    Parameters
    ----------
    regions
        Shape of each region, in column order.
    n_covariates
        Number of columns behind those of the regions, such as the gene's length. They are features as they are.
    n_latent
        Dimensions of the latent.
    n_hidden
        Width of the layer that joins the regions.
    dropout
        Fraction of region features and of hidden units dropped in training.
    center, scale
        Constants of the normalisation, one for each mark of each region, in column order.
    """

    def __init__(
        self,
        regions: Sequence[RegionShape],
        *,
        n_latent: int,
        n_hidden: int,
        dropout: float,
        n_covariates: int = 0,
        center: torch.Tensor | None = None,
        scale: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        n_marks = [shape.n_marks for shape in regions]
        constants = zip(*(_split(values, n_marks) for values in (center, scale)), strict=True)
        encoders = [
            RegionEncoder(shape, center=own_center, scale=own_scale)
            for shape, (own_center, own_scale) in zip(regions, constants, strict=True)
        ]
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

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of all regions, with the covariates behind them."""
        *regions, covariates = x.split(self.widths, dim=1)
        features = [
            encode(columns.unflatten(1, shape))
            for encode, columns, shape in zip(self.regions, regions, self.shapes, strict=True)
        ]
        return torch.cat([*features, covariates], dim=1)

    def summarise(self, x: torch.Tensor) -> torch.Tensor:
        """Return means and maxima of each mark over stretches of each region, ``(batch, n_summaries)``."""
        *regions, _ = x.split(self.widths, dim=1)
        parts = zip(cast("list[RegionEncoder]", list(self.regions)), regions, self.shapes, strict=True)
        return torch.cat([region.summarise(columns.unflatten(1, shape)) for region, columns, shape in parts], dim=1)

    def latent(self, features: torch.Tensor) -> Latent:
        """Join the regions to a latent, with dropout in training."""
        return Latent(*self.to_latent(self.joint(features)).chunk(2, dim=1))


def _split(values: torch.Tensor | None, n_marks: list[int]) -> Sequence[torch.Tensor | None]:
    return [None] * len(n_marks) if values is None else values.split(n_marks)


class Decoder(nn.Sequential):
    """Decoder from latents ``(batch, n_latent)`` to the expected normalised signal ``(batch, n_columns)``."""

    def __init__(self, *, n_latent: int, n_hidden: int, n_columns: int) -> None:
        super().__init__(nn.Linear(n_latent, n_hidden), nn.GELU(), nn.Linear(n_hidden, n_columns))

"""The published SimpleChrome network, kept for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from simplechrome_tk.nn._vae import Latent, LatentEncoder

if TYPE_CHECKING:
    from simplechrome_tk.nn._vae import RegionShape

# Slope of the leaky ReLU below 0, channels of the two convolutions, and their width, as published.
_SLOPE = 0.5
_CHANNELS = (32, 64)
_KERNEL = 5


class PaperEncoder(LatentEncoder):
    """SimpleChrome's encoder (Cheng et al. 2020): two convolutions *over the marks* of each bin, then one dense layer.

    The published code hands Keras an input of shape ``(bins, marks, 1)``, so its ``Conv1D`` slides over the marks and
    treats every bin alone. That is kept.

    Parameters
    ----------
    shape
        Marks and bins of the only region.
    n_latent
        Dimensions of the latent (10 as published).
    """

    def __init__(self, shape: RegionShape, *, n_latent: int) -> None:
        super().__init__()
        self.shape = shape
        first, second = _CHANNELS
        self.convolutions = nn.Sequential(
            nn.Conv1d(1, first, _KERNEL, padding="same"),
            nn.LeakyReLU(_SLOPE),
            nn.Conv1d(first, second, _KERNEL, padding="same"),
            nn.LeakyReLU(_SLOPE),
        )
        self.to_latent = nn.Linear(second * shape.n_marks * shape.n_bins, 2 * n_latent)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve over the marks of each bin."""
        bins = x.unflatten(1, self.shape).transpose(1, 2).reshape(-1, 1, self.shape.n_marks)
        return self.convolutions(bins).reshape(len(x), -1)

    def latent(self, features: torch.Tensor) -> Latent:
        """Join the bins."""
        return Latent(*self.to_latent(features).chunk(2, dim=1))


class PaperDecoder(nn.Sequential):
    """SimpleChrome's decoder: dense layer, two transposed convolutions over the bins, ``tanh``."""

    def __init__(self, shape: RegionShape, *, n_latent: int) -> None:
        first, second = _CHANNELS
        super().__init__(
            nn.Linear(n_latent, second * shape.n_bins),
            nn.LeakyReLU(_SLOPE),
            nn.Unflatten(1, (second, shape.n_bins)),
            nn.ConvTranspose1d(second, second, _KERNEL, padding=_KERNEL // 2),
            nn.LeakyReLU(_SLOPE),
            nn.ConvTranspose1d(second, first, _KERNEL, padding=_KERNEL // 2),
            nn.LeakyReLU(_SLOPE),
            nn.ConvTranspose1d(first, shape.n_marks, 1),
            nn.Tanh(),
            nn.Flatten(),
        )

"""Distributions of the signal around the decoded signal."""

from __future__ import annotations

import torch
from torch import nn

# Largest logarithm of one plus the expected count: three million reads in a bin.
_MAX_LOG1P = 15.0


class GaussianLikelihood(nn.Module):
    """Gaussian noise of unit variance on the normalised signal: the loss is the squared error."""

    kl_scale = 2.0
    """Weight of a nat of divergence beside the loss summed over columns, at which both bound the evidence."""

    def forward(self, decoded: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the loss of each gene, mean over columns, shape ``(batch,)``."""
        return (decoded - x).square().mean(dim=1)


class NegativeBinomialLikelihood(nn.Module):
    """Negative binomial read counts, with a dispersion for each column.

    The normalised signal is the standardised logarithm of one plus the count. Likewise the decoder's output, multiplied
    by ``scale``, shifted by ``center`` and made positive by softplus, is the logarithm of one plus the expected count.

    Parameters
    ----------
    center, scale
        Constants of the normalisation ``(log1p(count) - center) / scale``, shape ``(n_columns,)`` each.

    Notes
    -----
    Variance is ``mean + mean**2 / dispersion``, the parametrisation of scVI (Lopez et al. 2018).
    """

    kl_scale = 1.0

    center: torch.Tensor
    scale: torch.Tensor

    def __init__(self, center: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)
        self.log_dispersion = nn.Parameter(torch.zeros_like(center))

    def forward(self, decoded: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return the negative log-likelihood of each gene in nats, mean over columns, shape ``(batch,)``."""
        # The normalised signal is brought back to whole counts.
        counts = torch.expm1(x * self.scale + self.center).round().clamp(min=0)
        log1p_mean = nn.functional.softplus(decoded * self.scale + self.center).clamp(max=_MAX_LOG1P)
        # Log-odds of the binomial: the logarithm of the mean less that of the dispersion.
        logits = torch.expm1(log1p_mean).log() - self.log_dispersion
        distribution = torch.distributions.NegativeBinomial(
            self.log_dispersion.exp(), logits=logits, validate_args=False
        )
        return -distribution.log_prob(counts).mean(dim=1)

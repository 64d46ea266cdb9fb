"""Losses of the latent model and of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

if TYPE_CHECKING:
    from simplechrome_tk.nn._network import Output, SimpleChromeNet
    from simplechrome_tk.nn._vae import Latent


class Targets(NamedTuple):
    """Targets of the prediction, ``(n_genes,)`` each, NaN where unknown: ``label``, 0 or 1, and ``log_expression``.

    The logarithm of expression is in standard units.
    """

    label: torch.Tensor
    log_expression: torch.Tensor

    def select(self, genes: torch.Tensor) -> Targets:
        """Return the targets of some genes, given by row number."""
        return Targets(self.label[genes], self.log_expression[genes])


class LatentLoss(NamedTuple):
    """Losses of the latent model, means over genes.

    ``reconstruction`` is the loss of the likelihood, ``kl`` the divergence in nats, ``total`` their weighted sum.
    """

    total: torch.Tensor
    reconstruction: torch.Tensor
    kl: torch.Tensor


def latent_loss(
    net: SimpleChromeNet, x: torch.Tensor, latent: Latent, *, kl_weight: float | None, noise: float = 1.0
) -> LatentLoss:
    """Return the loss of the marks in ``x``, reconstructed from a sample of ``latent``, and of the divergence.

    ``kl_weight=None`` is ``noise`` times the weight at which both are the evidence lower bound of the network's
    likelihood. Columns of ``x`` behind those that are decoded are covariates, which are not reconstructed.
    """
    # A sample, not the mean: the decoder has to work within the spread that the divergence asks for.
    decoded = net.decode(latent.sample(), net.conditions(x))
    n_columns = decoded.shape[1]
    reconstruction = net.likelihood(decoded, x[:, :n_columns]).mean()
    kl = latent.kl().sum(dim=1).mean()
    weight = noise * net.likelihood.kl_scale / n_columns if kl_weight is None else kl_weight
    return LatentLoss(reconstruction + weight * kl, reconstruction, kl)


def expression_loss(output: Output, targets: Targets, *, regression_weight: float) -> torch.Tensor:
    """Return the cross-entropy of labels plus the weighted squared error of expression.

    Each is a mean over the genes for which it is known.
    """
    # Unknown targets count as 0 until the mask removes them, since NaN would spread through the gradient.
    entropy = nn.functional.binary_cross_entropy_with_logits(output.logit, targets.label.nan_to_num(), reduction="none")
    error = (output.log_expression - targets.log_expression.nan_to_num()).square()
    return _mean_where(entropy, ~targets.label.isnan()) + regression_weight * _mean_where(
        error, ~targets.log_expression.isnan()
    )


def _mean_where(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)

"""The SimpleChrome network: latent model, attention to neighbours and expression head."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from simplechrome_tk.nn._dropout import without_dropout
from simplechrome_tk.nn._likelihood import GaussianLikelihood

if TYPE_CHECKING:
    from simplechrome_tk.nn._attention import NeighborAttention
    from simplechrome_tk.nn._likelihood import NegativeBinomialLikelihood
    from simplechrome_tk.nn._vae import Latent, LatentEncoder


class Neighbors(NamedTuple):
    """Neighbours of a batch of genes.

    Attributes
    ----------
    x
        Their marks, or their latents, ``(batch, n_neighbors, n_columns or n_latent)``.
    edges
        Features of each pair of a gene and its neighbour, ``(batch, n_neighbors, n_edge)``.
    mask
        True where there is a neighbour, ``(batch, n_neighbors)``.
    """

    x: torch.Tensor
    edges: torch.Tensor
    mask: torch.Tensor


class Output(NamedTuple):
    """Predictions of a network, ``(batch,)`` each.

    Attributes
    ----------
    logit
        Log-odds that the gene is high, not calibrated.
    log_expression
        Logarithm of expression, in standard units of the training genes.
    """

    logit: torch.Tensor
    log_expression: torch.Tensor


class Correction(nn.Module):
    """A linear correction of the head's output, learnt from few labels after the training.

    It multiplies the output and adds a linear function of the latent. A new correction changes nothing.

    Parameters
    ----------
    n_latent
        Dimensions of the latent.
    """

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.latent = nn.Linear(n_latent, 2)
        nn.init.zeros_(self.latent.weight)
        nn.init.zeros_(self.latent.bias)

    def forward(self, output: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Correct ``(batch, 2)``, logit and expression, of genes with ``latent`` ``(batch, n_latent)``."""
        return output * self.scale + self.latent(latent)


class SimpleChromeNet(nn.Module):
    """A network from a gene's marks and those of its neighbours, through latents, to its expression.

    Parameters
    ----------
    encoder
        ``(batch, n_columns + n_covariates)`` to :class:`Latent`.
    decoder
        ``(batch, n_latent + n_conditions)`` to ``(batch, n_columns)``: marks, not covariates.
    head
        ``(batch, n_latent + n_context)`` to ``(batch, 2)``: logit and log expression.
    attention
        Attention to neighbours; ``None`` predicts from the gene alone.
    likelihood
        Distribution of the signal around the decoded signal; ``None`` is :class:`GaussianLikelihood`.
    correction
        Correction of the output, learnt from few labels after the training.
    n_conditions
        Number of columns at the end of the input that the decoder reads beside the latent. The encoder does not.
    """

    def __init__(
        self,
        encoder: LatentEncoder,
        decoder: nn.Module,
        head: nn.Module,
        attention: NeighborAttention | None = None,
        likelihood: GaussianLikelihood | NegativeBinomialLikelihood | None = None,
        correction: Correction | None = None,
        n_conditions: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = GaussianLikelihood() if likelihood is None else likelihood
        self.attention = attention
        self.head = head
        self.correction = correction
        self.n_conditions = n_conditions

    def encode(self, x: torch.Tensor) -> Latent:
        """Map marks, covariates and conditions to a :class:`Latent`; the conditions have no effect."""
        return self.encoder(self._encoded(x))

    def encode_twice(self, x: torch.Tensor) -> tuple[Latent, Latent]:
        """Encode with dropout, for the prediction, and without, for the latent's own loss, sharing the features."""
        # Features are most of the work and have no dropout, so that both latents can share them.
        features = self.encoder.features(self._encoded(x))
        with without_dropout(self.encoder):
            whole = self.encoder.latent(features)
        return self.encoder.latent(features), whole

    def decode(self, latent: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Decode latents ``(batch, n_latent)``, under conditions ``(batch, n_conditions)``, to marks."""
        return self.decoder(torch.cat([latent, conditions], dim=1) if self.n_conditions else latent)

    def conditions(self, x: torch.Tensor) -> torch.Tensor:
        """Return a view of the conditions in the input, ``(batch, n_conditions)``."""
        return x[:, x.shape[1] - self.n_conditions :]

    def express(self, latent: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Predict from latents ``(batch, n_latent)`` and the latents of neighbours."""
        if self.attention is not None:
            if neighbors is None:
                msg = (
                    "this network attends to neighbours; expected `neighbors`, such as graph.of(genes, x), found None."
                )
                raise ValueError(msg)
            output = self.head(torch.cat([latent, self.attention(latent, *neighbors)], dim=1))
        else:
            output = self.head(latent)
        if self.correction is not None:
            output = self.correction(output, latent)
        return Output(*output.unbind(dim=1))

    def forward(self, x: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Predict from marks and covariates ``(batch, n_columns + n_covariates)``, and from those of neighbours."""
        if neighbors is not None:
            # Marks of neighbours become latents: all genes and neighbours of the batch are encoded as one long batch.
            neighbors = neighbors._replace(
                x=self.encode(neighbors.x.flatten(0, 1)).mean.unflatten(0, neighbors.mask.shape)
            )
        return self.express(self.encode(x).mean, neighbors)

    def _encoded(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : x.shape[1] - self.n_conditions]

"""SimpleChrome: latent model, cross-gene attention and expression head in one network."""

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

    ``x`` ``(batch, n_neighbors, n_columns or n_latent)``: their marks, or their latents.
    ``edges`` ``(batch, n_neighbors, n_edge)``: what is known of each pair.
    ``mask`` ``(batch, n_neighbors)``: true where there is a neighbour.
    """

    x: torch.Tensor
    edges: torch.Tensor
    mask: torch.Tensor


class Output(NamedTuple):
    """Prediction for each gene, ``(batch,)`` each: ``logit`` of being high, ``expression`` in standard units."""

    logit: torch.Tensor
    log_expression: torch.Tensor


class Correction(nn.Module):
    """What few labels of other genes change: a line over the head's output plus a line over the latent.

    Starts as no change.

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
    """A gene's marks, and its neighbours', to its expression, through latents.

    Parameters
    ----------
    encoder
        ``(batch, n_columns + n_covariates)`` to :class:`Latent`.
    decoder
        ``(batch, n_latent)`` to ``(batch, n_columns)``: marks, not covariates.
    head
        ``(batch, n_latent + n_context)`` to ``(batch, 2)``: logit and expression.
    attention
        Context from neighbours; ``None`` predicts from the gene alone.
    likelihood
        How the signal scatters around what the decoder expects; ``None`` is :class:`GaussianLikelihood`.
    correction
        What was learnt from few labels after the training.
    n_conditions
        Columns at the end of the input that the decoder reads beside the latent, and the encoder does not.
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
        """Map marks, covariates and conditions to a :class:`Latent`; conditions are not read."""
        return self.encoder(self._encoded(x))

    def encode_twice(self, x: torch.Tensor) -> tuple[Latent, Latent]:
        """Encode with dropout, for the prediction, and without, for the latent's own loss; features are shared."""
        features = self.encoder.features(self._encoded(x))
        with without_dropout(self.encoder):
            whole = self.encoder.latent(features)
        return self.encoder.latent(features), whole

    def decode(self, latent: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Map latents ``(batch, n_latent)`` and ``(batch, n_conditions)`` to the marks that are expected."""
        return self.decoder(torch.cat([latent, conditions], dim=1) if self.n_conditions else latent)

    def conditions(self, x: torch.Tensor) -> torch.Tensor:
        """View the conditions in the input, ``(batch, n_conditions)``."""
        return x[:, x.shape[1] - self.n_conditions :]

    def express(self, latent: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Predict from latents ``(batch, n_latent)`` and the latents of neighbours."""
        if self.attention is not None:
            if neighbors is None:
                msg = "this network attends to neighbours; expected `neighbors`, found None."
                raise ValueError(msg)
            output = self.head(torch.cat([latent, self.attention(latent, *neighbors)], dim=1))
        else:
            output = self.head(latent)
        if self.correction is not None:
            output = self.correction(output, latent)
        return Output(*output.unbind(dim=1))

    def forward(self, x: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Predict from marks and covariates ``(batch, n_columns + n_covariates)``, and those of neighbours."""
        if neighbors is not None:
            neighbors = neighbors._replace(
                x=self.encode(neighbors.x.flatten(0, 1)).mean.unflatten(0, neighbors.mask.shape)
            )
        return self.express(self.encode(x).mean, neighbors)

    def _encoded(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, : x.shape[1] - self.n_conditions]

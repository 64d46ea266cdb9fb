"""The SimpleChrome network: latent model, head of the gene's own marks, and context."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from simplechrome_tk.nn._dropout import without_dropout
from simplechrome_tk.nn._likelihood import GaussianLikelihood

if TYPE_CHECKING:
    from simplechrome_tk.nn._context import Context
    from simplechrome_tk.nn._contrast import Contrast
    from simplechrome_tk.nn._likelihood import NegativeBinomialLikelihood
    from simplechrome_tk.nn._vae import Latent, LatentEncoder


class Neighbors(NamedTuple):
    """Neighbours of a batch of genes.

    Attributes
    ----------
    x
        Their inputs, or their latents, ``(batch, n_neighbors, n_inputs or n_latent)``.
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
    """A network from a gene's marks, through a latent, to its expression, with a context of what else is known.

    An input holds, in this order, the columns of the marks; log expression in reference samples; covariates, such as
    the gene's length; and conditions, which the decoder alone reads. All but the marks may be absent.

    Parameters
    ----------
    encoder
        ``(batch, n_columns + n_covariates)`` to :class:`Latent`.
    decoder
        ``(batch, n_latent + n_conditions)`` to ``(batch, n_columns)``: marks, not covariates.
    head
        ``(batch, n_latent)`` to ``(batch, 2)``: logit and log expression, predicted from the gene's own marks.
    context
        What related genes and reference samples add to the output of ``head``; ``None`` predicts from the gene's own
        marks alone.
    likelihood
        Distribution of the signal around the decoded signal; ``None`` is :class:`GaussianLikelihood`.
    correction
        Correction of the output, learnt from few labels after the training.
    n_columns
        Number of columns of the marks. Only a network with reference samples needs to know it.
    n_conditions
        Number of columns at the end of the input that the decoder reads beside the latent.

    Attributes
    ----------
    contrast
        What two conditions of a gene add together to the predicted change between them; ``None`` where it was not
        trained.
    """

    def __init__(
        self,
        encoder: LatentEncoder,
        decoder: nn.Module,
        head: nn.Module,
        context: Context | None = None,
        likelihood: GaussianLikelihood | NegativeBinomialLikelihood | None = None,
        correction: Correction | None = None,
        n_columns: int = 0,
        n_conditions: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = GaussianLikelihood() if likelihood is None else likelihood
        self.head = head
        self.context = context
        self.correction = correction
        self.contrast: Contrast | None = None
        self.n_columns = n_columns
        self.n_conditions = n_conditions

    @property
    def attends(self) -> bool:
        """Whether the network reads related genes."""
        return self.context is not None and self.context.attention is not None

    @property
    def n_reference(self) -> int:
        """Number of reference samples that the network reads."""
        return 0 if self.context is None else self.context.n_reference

    def encode(self, x: torch.Tensor) -> Latent:
        """Map an input to a :class:`Latent`; reference samples and conditions have no effect."""
        return self.encoder(self._encoded(x))

    def encode_twice(self, x: torch.Tensor) -> tuple[Latent, Latent]:
        """Encode with dropout, for the prediction, and without, for the latent's own loss, sharing the features."""
        # Features are most of the work and have no dropout, so that both latents can share them.
        features = self.encoder.features(self._encoded(x))
        with without_dropout(self.encoder):
            whole = self.encoder.latent(features)
        return self.encoder.latent(features), whole

    def summarise(self, x: torch.Tensor) -> torch.Tensor:
        """Return means and maxima of each mark over stretches of each region, ``(batch, n_summaries)``."""
        return self.encoder.summarise(self._encoded(x))

    def decode(self, latent: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        """Decode latents ``(batch, n_latent)``, under conditions ``(batch, n_conditions)``, to marks."""
        return self.decoder(torch.cat([latent, conditions], dim=1) if self.n_conditions else latent)

    def conditions(self, x: torch.Tensor) -> torch.Tensor:
        """Return a view of the conditions in the input, ``(batch, n_conditions)``."""
        return x[:, x.shape[1] - self.n_conditions :]

    def reference(self, x: torch.Tensor) -> torch.Tensor:
        """Return a view of the expression in reference samples in the input, ``(batch, n_reference)``."""
        return x[:, self.n_columns : self.n_columns + self.n_reference]

    def express_own(self, latent: torch.Tensor) -> Output:
        """Predict from latents ``(batch, n_latent)`` alone, which are those of the gene's own marks."""
        return Output(*self.head(latent).unbind(dim=1))

    def express(self, latent: torch.Tensor, x: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Predict from latents ``(batch, n_latent)``, the reference samples in ``x``, and the latents of neighbours."""
        output = self.head(latent)
        if self.context is not None:
            output = output + self.context(latent, neighbors, self.reference(x))
        if self.correction is not None:
            output = self.correction(output, latent)
        return Output(*output.unbind(dim=1))

    def forward(self, x: torch.Tensor, neighbors: Neighbors | None = None) -> Output:
        """Predict from inputs ``(batch, n_inputs)``, and from those of neighbours."""
        if neighbors is not None:
            # Marks of neighbours become latents: all genes and neighbours of the batch are encoded as one long batch.
            neighbors = neighbors._replace(
                x=self.encode(neighbors.x.flatten(0, 1)).mean.unflatten(0, neighbors.mask.shape)
            )
        return self.express(self.encode(x).mean, x, neighbors)

    def _encoded(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the encoder reads of the input: marks and covariates."""
        end = x.shape[1] - self.n_conditions
        if not self.n_reference:
            return x[:, :end]
        return torch.cat([x[:, : self.n_columns], x[:, self.n_columns + self.n_reference : end]], dim=1)

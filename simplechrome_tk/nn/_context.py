"""What is known of a gene beyond its own marks: related genes, and expression in reference samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from simplechrome_tk.nn._attention import NeighborAttention
    from simplechrome_tk.nn._network import Neighbors

# Variance, in standard units, that is added before the root: the standard deviation then has a slope where it is 0.
_LEAST_VARIANCE = 1e-2


class Context(nn.Module):
    """The part of a prediction that related genes and reference samples add to that of the gene's own marks.

    A small head reads the gene's latent, what attention gathers from the latents of related genes, and the expression
    of the gene in reference samples. Its output is added to that of the gene's own marks. A new context adds nothing.

    Parameters
    ----------
    n_latent
        Dimensions of the latent.
    n_hidden
        Units of the head.
    dropout
        Fraction of the units that are dropped in training.
    attention
        Attention to related genes; ``None`` reads none.
    n_reference
        Number of reference samples; 0 reads none.
    """

    def __init__(
        self, *, n_latent: int, n_hidden: int, dropout: float, attention: NeighborAttention | None, n_reference: int = 0
    ) -> None:
        super().__init__()
        self.attention = attention
        self.n_reference = n_reference
        n_inputs = n_latent + (0 if attention is None else attention.n_context)
        # Mean and standard deviation of the gene stand beside its deviations from the mean.
        n_inputs += n_reference + 2 if n_reference else 0
        self.head = nn.Sequential(
            nn.Linear(n_inputs, n_hidden), nn.GELU(), nn.Dropout(dropout), last := nn.Linear(n_hidden, 2)
        )
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, latent: torch.Tensor, neighbors: Neighbors | None, reference: torch.Tensor) -> torch.Tensor:
        """Return what is added to logit and log expression, ``(batch, 2)``.

        Parameters
        ----------
        latent
            ``(batch, n_latent)``.
        neighbors
            Latents of related genes; ``None`` where the context reads none.
        reference
            Log expression in reference samples, standardised, ``(batch, n_reference)``.
        """
        inputs = [latent]
        if self.attention is not None:
            if neighbors is None:
                msg = (
                    "this network attends to neighbours; expected `neighbors`, such as graph.of(genes, x), found None."
                )
                raise ValueError(msg)
            inputs.append(self.attention(latent, *neighbors))
        if self.n_reference:
            mean = reference.mean(dim=1, keepdim=True)
            deviation = reference - mean
            spread = (deviation.square().mean(dim=1, keepdim=True) + _LEAST_VARIANCE).sqrt()
            inputs += [mean, spread, deviation]
        return self.head(torch.cat(inputs, dim=1))

"""Construction of networks from their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from simplechrome_tk.nn._attention import NeighborAttention
from simplechrome_tk.nn._context import Context
from simplechrome_tk.nn._contrast import Contrast
from simplechrome_tk.nn._graph import n_edge_features
from simplechrome_tk.nn._network import SimpleChromeNet
from simplechrome_tk.nn._paper import PaperDecoder, PaperEncoder
from simplechrome_tk.nn._vae import Decoder, Encoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simplechrome_tk.nn._likelihood import GaussianLikelihood, NegativeBinomialLikelihood
    from simplechrome_tk.nn._vae import RegionShape

# Dimensions of what attention gathers from related genes.
_N_CONTEXT = 32
# Units of the head of the context, and the fraction of them that is dropped.
_N_HIDDEN, _DROPOUT = 64, 0.2
# Units of the head of changes between conditions, and the fraction of them that is dropped.
_N_CONTRAST, _CONTRAST_DROPOUT = 256, 0.5


def build_network(
    regions: Sequence[RegionShape],
    *,
    n_latent: int,
    n_hidden: int,
    dropout: float,
    n_graphs: int = 0,
    n_reference: int = 0,
    n_covariates: int = 0,
    center: torch.Tensor | None = None,
    scale: torch.Tensor | None = None,
    likelihood: GaussianLikelihood | NegativeBinomialLikelihood | None = None,
    n_conditions: int = 0,
) -> SimpleChromeNet:
    """Build the default network: strided convolutions for each region, a small head, and a context.

    Parameters
    ----------
    regions
        Shape of each region, in column order.
    n_latent
        Dimensions of the latent.
    n_hidden
        Width of the layer that joins the regions. The head is half as wide, the decoder twice as wide.
    dropout
        Fraction of units dropped in the encoder; half that fraction is dropped in the head.
    n_graphs
        Number of graphs of related genes to attend to.
    n_reference
        Number of columns behind those of the regions that hold expression in reference samples.
    n_covariates
        Number of columns behind these.
    center, scale
        Constants of the normalisation, one for each mark of each region, in column order; ``None`` is 0 and 1.
    likelihood
        Distribution of the signal around the decoded signal; ``None`` is Gaussian.
    n_conditions
        Number of columns behind the covariates, which the decoder reads beside the latent.
    """
    n_columns = sum(shape.n_marks * shape.n_bins for shape in regions)
    head = nn.Sequential(
        nn.Linear(n_latent, n_hidden // 2),
        nn.GELU(),
        nn.Dropout(dropout / 2),
        nn.Linear(n_hidden // 2, 2),
    )
    return SimpleChromeNet(
        encoder=Encoder(
            regions,
            n_latent=n_latent,
            n_hidden=n_hidden,
            dropout=dropout,
            n_covariates=n_covariates,
            center=center,
            scale=scale,
        ),
        decoder=Decoder(
            n_latent=n_latent + n_conditions,
            n_hidden=2 * n_hidden,
            n_columns=n_columns,
        ),
        head=head,
        context=_context(n_latent, n_graphs=n_graphs, n_reference=n_reference),
        likelihood=likelihood,
        n_columns=n_columns,
        n_conditions=n_conditions,
    )


def build_paper_network(
    regions: Sequence[RegionShape], *, n_latent: int, n_graphs: int = 0, n_reference: int = 0
) -> SimpleChromeNet:
    """Build the published network: :class:`PaperEncoder`, :class:`PaperDecoder` and a 256-128 head.

    It differs from the publication in three points: the head reads the mean of the latent, not a sample of it; it has a
    second output, for expression; and neighbours, where there are any, are read by the default network's context
    instead of being appended.

    Parameters
    ----------
    regions
        Shape of the only region.
    n_latent
        Dimensions of the latent.
    n_graphs, n_reference
        As for :func:`build_network`.

    Raises
    ------
    ValueError
        When there is more than one region.
    """
    if len(regions) != 1:
        msg = (
            f"the published network reads one region, found {len(regions)}: bin with one window, for example "
            "windows=[sct.pp.Window.TSS], or select its columns."
        )
        raise ValueError(msg)
    head = nn.Sequential(nn.Linear(n_latent, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 2))
    return SimpleChromeNet(
        encoder=PaperEncoder(regions[0], n_latent=n_latent),
        decoder=PaperDecoder(regions[0], n_latent=n_latent),
        head=head,
        context=_context(n_latent, n_graphs=n_graphs, n_reference=n_reference),
        n_columns=regions[0].n_marks * regions[0].n_bins,
    )


def build_contrast(net: SimpleChromeNet, *, n_latent: int, n_inputs: int) -> Contrast:
    """Build the head of changes between conditions for a network that reads ``n_inputs`` columns."""
    device = next(net.parameters()).device
    n_summaries = net.summarise(torch.zeros(1, n_inputs, device=device)).shape[1]
    return Contrast(n_inputs=n_latent + n_summaries + 1, n_hidden=_N_CONTRAST, dropout=_CONTRAST_DROPOUT)


def _context(n_latent: int, *, n_graphs: int, n_reference: int) -> Context | None:
    if not n_graphs and not n_reference:
        return None
    n_edge = n_edge_features(n_graphs)
    attention = NeighborAttention(n_latent=n_latent, n_edge=n_edge, n_context=_N_CONTEXT) if n_graphs else None
    return Context(
        n_latent=n_latent, n_hidden=_N_HIDDEN, dropout=_DROPOUT, attention=attention, n_reference=n_reference
    )

"""Genes as networks read them, read from an AnnData once for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized, normalization
from simplechrome_tk.model._inputs import require_trained
from simplechrome_tk.model._simplechrome import SimpleChrome

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad

    from simplechrome_tk import nn


class Inputs(NamedTuple):
    """An AnnData that was read and checked, with the constants of its normalisation.

    Attributes
    ----------
    adata
        The genes.
    layout
        Their columns.
    x
        What the networks read, ``(n_genes, n_columns + n_covariates)``, on the device of the networks.
    graph
        The graph of neighbours; ``None`` where the networks read each gene alone.
    constants
        ``center`` and ``scale`` of each mark in each region, ``(n_blocks,)``; ``None`` where ``X`` is not normalised.
    """

    adata: ad.AnnData
    layout: Layout
    x: torch.Tensor
    graph: nn.Graph | None
    constants: Mapping[str, Any] | None

    @property
    def marks(self) -> np.ndarray:
        """``X`` without the covariates, ``(n_genes, n_columns)`` float32."""
        return self.x[:, : self.layout.n_columns].cpu().numpy()

    @property
    def no_signal(self) -> np.ndarray:
        """``X`` of a gene without any signal, ``(n_columns,)`` float32."""
        if self.constants is None:
            return np.zeros(self.layout.n_columns, dtype=np.float32)
        zero = (-self.constants["center"] / self.constants["scale"]).astype(np.float32)
        return self.layout.expand(zero)


def read_inputs(adata: ad.AnnData, model: SimpleChrome | torch.nn.Module | None) -> Inputs:
    """Read what a model needs of an AnnData; without a model, ``X`` alone.

    Raises
    ------
    RuntimeError
        When the model is not trained.
    ValueError
        When ``adata`` does not fit the model.
    """
    if isinstance(model, SimpleChrome):
        require_trained(model)
        data = model.read(adata)
        # The model has checked that the data were normalised with its constants: there is no need to read them again.
        return Inputs(adata, data.layout, data.x, data.graph, model.normalization)
    device = torch.device("cpu")
    if model is not None:
        device = next((parameter.device for parameter in model.parameters()), device)
    x = torch.as_tensor(dense(adata).astype(np.float32), device=device)
    return Inputs(adata, Layout.of(adata), x, None, normalization(adata) if is_normalized(adata) else None)

"""A linear model of normalised signal, for which every attribution is known in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from simplechrome_tk.core.layout import Layout

if TYPE_CHECKING:
    import anndata as ad
    import numpy as np


class Linear(torch.nn.Module):
    """A sum of columns times ``weight``."""

    def __init__(self, weight: np.ndarray) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.as_tensor(weight, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def true_model(adata: ad.AnnData, factor: float = 1.0) -> Linear:
    """Return the model that predicts the simulated effects of the gene's own marks, times ``factor``."""
    scale = Layout.of(adata).expand(adata.uns["normalize"]["scale"])
    return Linear(factor * adata.var["planted_effect"].to_numpy() * scale)

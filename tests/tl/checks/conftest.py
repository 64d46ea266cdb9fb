"""Simulated genes for tests of the checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import prepared
from linear_model import Linear, true_model

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture
def adata() -> ad.AnnData:
    """300 simulated genes with five neighbours each."""
    return prepared(300, n_neighbors=5)


@pytest.fixture
def true(adata: ad.AnnData) -> Linear:
    """The model that predicts the simulated effects of the gene's own marks."""
    return true_model(adata)

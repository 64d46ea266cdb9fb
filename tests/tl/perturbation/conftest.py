"""Genes and models for tests of perturbations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from builders import prepared, trained

if TYPE_CHECKING:
    import anndata as ad

    import simplechrome_tk as sct

SETTINGS = {"n_latent": 6, "n_hidden": 32}


@pytest.fixture
def adata() -> ad.AnnData:
    """600 simulated genes with four neighbours each."""
    return prepared(600, n_neighbors=4)


@pytest.fixture
def alone() -> sct.SimpleChrome:
    """A model that reads each gene alone."""
    return trained(600, **SETTINGS)[1]


@pytest.fixture
def among() -> sct.SimpleChrome:
    """A model that reads each gene among its neighbours."""
    return trained(600, n_neighbors=4, **SETTINGS)[1]

"""Latent dimensions in use."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from builders import embedded

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture
def adata() -> ad.AnnData:
    return embedded()[0]


@pytest.fixture
def model() -> sct.SimpleChrome:
    return embedded()[1]


def test_a_collapsed_dimension_is_named(adata, model, caplog):
    again = copy.deepcopy(model)
    last = again.module.first.encoder.to_latent
    with torch.no_grad():
        for row in (2, 8):  # mean and log variance of dimension 2: the prior
            last.weight[row] = 0
            last.bias[row] = 0
    with caplog.at_level(logging.WARNING):
        sct.tl.latent_dimensions(adata, again)
    table = adata.uns["latent_dimensions"].set_index("dimension")
    collapsed = table.index[~table["active"]].tolist()
    assert 2 in collapsed
    assert f"collapsed: {', '.join(map(str, collapsed))}" in caplog.text
    assert table.loc[2, ["variance", "kl"]].tolist() == [0, 0]
    assert table.loc[2, "noise"] == 1
    np.testing.assert_allclose(
        table["variance"], again.get_latent_representation(adata).var(axis=0), rtol=1e-4, atol=1e-7
    )

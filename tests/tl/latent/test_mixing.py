"""Mixing of cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders import prepared

import simplechrome_tk as sct
from simplechrome_tk.tl.latent._exact_neighbors import ExactNeighbors

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture
def two_cells() -> ad.AnnData:
    """Two cell types with latents that do not differ, and their neighbour graph."""
    both = sct.pp.stack_cell_types({"A": prepared(150, method=None), "B": prepared(150, method=None)})
    both.obsm["X_simplechrome"] = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    add_graph(both)
    return both


def add_graph(adata: ad.AnnData) -> None:
    search = ExactNeighbors(15, device="cpu")
    adata.obsp["simplechrome_distances"] = search.fit_transform(adata.obsm["X_simplechrome"])


def test_mixing_is_one_without_a_batch_effect(two_cells):
    sct.tl.mixing(two_cells)
    table = two_cells.uns["mixing"].set_index("group")
    assert table["mixing"].between(0.9, 1.1).all()
    assert table.loc["A", "expected"] == pytest.approx(150 / 299)


def test_mixing_is_zero_with_a_batch_effect(two_cells):
    two_cells.obsm["X_simplechrome"][150:] += 50
    add_graph(two_cells)
    sct.tl.mixing(two_cells)
    assert (two_cells.uns["mixing"]["mixing"] == 0).all()


def test_mixing_needs_a_graph(two_cells):
    del two_cells.obsp["simplechrome_distances"]
    with pytest.raises(ValueError, match=r"simplechrome_distances.*sct\.tl\.embed"):
        sct.tl.mixing(two_cells)


def test_mixing_needs_two_groups(two_cells):
    two_cells.obs["one"] = "A"
    with pytest.raises(ValueError, match="1 groups and 0 missing"):
        sct.tl.mixing(two_cells, groupby="one")

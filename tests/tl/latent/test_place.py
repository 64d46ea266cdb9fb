"""Placement of genes on a map."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders import BRIEF, embedded
from sklearn.neighbors import NearestNeighbors

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture
def adata() -> ad.AnnData:
    return embedded()[0]


@pytest.fixture
def model() -> sct.SimpleChrome:
    return embedded()[1]


def nearest_rows(positions: np.ndarray) -> np.ndarray:
    """Rows of the 15 points nearest to each, without the point itself."""
    return NearestNeighbors(n_neighbors=15).fit(positions).kneighbors(return_distance=False)


def test_placed_genes_have_the_neighbourhoods_of_a_map_built_with_them(adata, model):
    held_out = np.arange(500) % 5 == 0
    reference, new = adata[~held_out].copy(), adata[held_out].copy()
    sct.tl.embed(reference, model, device="cpu")
    before = reference.obsm["X_simplechrome_umap"].copy()
    for slot in ("X_simplechrome", "X_simplechrome_umap"):
        del new.obsm[slot]
    sct.tl.place(new, reference, model, device="cpu")
    np.testing.assert_array_equal(reference.obsm["X_simplechrome_umap"], before)
    np.testing.assert_allclose(new.obsm["X_simplechrome"], adata.obsm["X_simplechrome"][held_out], rtol=1e-4, atol=1e-5)
    low, high = before.min(axis=0), before.max(axis=0)
    assert ((new.obsm["X_simplechrome_umap"] >= low) & (new.obsm["X_simplechrome_umap"] <= high)).all()
    assert (new.obs["simplechrome_leiden"].cat.categories == reference.obs["simplechrome_leiden"].cat.categories).all()
    assert new.obs["placed_far"].mean() < 0.15
    genes = [*new.obs_names, *reference.obs_names]
    high = (adata[genes].obs["label"] == "high").to_numpy()
    placed, together = (
        high[nearest_rows(positions)[: new.n_obs]].mean(axis=1) > 0.5
        for positions in (
            np.concatenate([new.obsm["X_simplechrome_umap"], reference.obsm["X_simplechrome_umap"]]),
            adata[genes].obsm["X_simplechrome_umap"],
        )
    )
    assert (placed == together).mean() >= 0.9


def test_a_gene_of_the_map_goes_where_it_is(adata, model):
    new = adata[:10].copy()
    sct.tl.place(new, adata, model, n_neighbors=1, device="cpu")
    np.testing.assert_allclose(new.obsm["X_simplechrome_umap"], adata.obsm["X_simplechrome_umap"][:10], rtol=1e-5)
    assert (new.obs["simplechrome_leiden"] == adata.obs["simplechrome_leiden"].iloc[:10]).all()


def test_genes_unlike_the_map_are_said_to_be(adata, model, caplog):
    new = adata[:20].copy()
    new.X = new.X + 50
    with caplog.at_level(logging.INFO):
        sct.tl.place(new, adata, model, device="cpu")
    assert new.obs["placed_far"].all()
    assert "20 of them (100.0 %" in caplog.text


def test_placing_needs_a_map_of_the_same_model(adata, model):
    other = sct.SimpleChrome(adata, n_latent=6, rng=5, device="cpu")
    other.train(**BRIEF)
    with pytest.raises(ValueError, match="was made with another model"):
        sct.tl.place(adata[:5].copy(), adata, other)
    with pytest.raises(ValueError, match="n_neighbors is 500"):
        sct.tl.place(adata[:5].copy(), adata, model, n_neighbors=500)
    del adata.obsm["X_simplechrome_umap"]
    with pytest.raises(ValueError, match=r"X_simplechrome_umap.*sct.tl.embed\(reference, model\)"):
        sct.tl.place(adata[:5].copy(), adata, model)

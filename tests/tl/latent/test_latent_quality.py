"""Quality of latents and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
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


def quality(adata: ad.AnnData, **settings: object) -> pd.DataFrame:
    sct.tl.latent_quality(adata, device="cpu", **settings)
    return adata.uns["latent_quality"]


def test_quality_of_a_latent_that_is_the_marks(adata):
    adata.obsm["X_simplechrome"] = np.asarray(adata.X)
    adata.obsm["X_simplechrome_umap"] = np.random.default_rng(0).standard_normal((500, 2))
    table = quality(adata, splits=None).set_index(["space", "metric"])["value"]
    assert table["latent", "neighbours kept"] == 1
    assert table["latent", "trustworthiness"] == pytest.approx(1)
    assert table["PCA", "neighbours kept"] == pytest.approx(1, abs=0.01)
    assert table["map", "neighbours kept"] == pytest.approx(15 / 499, abs=0.02)
    assert table["map", "trustworthiness"] < 0.6
    assert table["map", "silhouette"] == pytest.approx(0, abs=0.02)


def test_quality_sees_groups_that_are_separate(adata):
    x = adata.obsm["X_simplechrome_umap"][:, 0]
    adata.obs["side"] = np.where(x > np.median(x), "right", "left")
    sides = quality(adata, groupby="side", splits=None, n_sample=200)
    assert sides["n"].unique() == [200]
    labels = quality(adata, splits=None, n_sample=200)
    silhouette = [
        table.query("space == 'map' and metric == 'silhouette'")["value"].iloc[0] for table in (sides, labels)
    ]
    assert silhouette[0] > silhouette[1]


def test_quality_needs_more_genes_than_neighbours_and_a_map(adata):
    with pytest.raises(ValueError, match="n_neighbors=15"):
        sct.tl.latent_quality(adata, n_sample=25)
    del adata.obsm["X_simplechrome_umap"]
    with pytest.raises(ValueError, match="obsm has no 'X_simplechrome_umap'"):
        sct.tl.latent_quality(adata)


def test_quality_is_measured_on_held_out_genes(adata):
    """A latent that was taught the labels of the training genes, and knows nothing of the others."""
    high = (adata.obs["label"] == "high").to_numpy()
    test = (adata.obs["split"] == "test").to_numpy()
    latent = np.random.default_rng(0).standard_normal((adata.n_obs, 3))
    latent[~test] += 20 * high[~test, None]
    adata.obsm["X_simplechrome"] = latent.astype(np.float32)
    taught, held_out = (
        quality(adata, n_neighbors=5, **splits).set_index(["space", "metric"]) for splits in ({"splits": None}, {})
    )
    assert taught.loc[("latent", "silhouette"), "value"] > 0.5
    assert abs(held_out.loc[("latent", "silhouette"), "value"]) < 0.1
    assert (held_out["n"] == test.sum()).all()
    del adata.obs["split"]
    without = quality(adata, n_neighbors=5).set_index(["space", "metric"])
    pd.testing.assert_frame_equal(without, taught)

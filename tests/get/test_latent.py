"""Tables of the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders import embedded
from scipy import stats

import simplechrome_tk as sct
from simplechrome_tk.get._latent import latent_correlations

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture
def adata() -> ad.AnnData:
    return embedded()[0]


@pytest.fixture
def model() -> sct.SimpleChrome:
    return embedded()[1]


def test_a_dimension_that_is_a_mark_knows_all_of_it(adata):
    rng = np.random.default_rng(0)
    columns = ((adata.var["mark"] == "H3K4me3") & (adata.var["region"] == "tss")).to_numpy()
    level = np.log1p(adata.layers["signal"][:, columns]).mean(axis=1)
    adata.obsm["X_simplechrome"] = np.stack([rng.standard_normal(500), level, level], axis=1)[:, :2].astype(np.float32)
    table = sct.get.latent_information(adata).set_index("feature")
    row = table.loc["H3K4me3:tss"]
    assert (row["dimension"], row["second"]) == (1, 0)
    assert row["information"] == pytest.approx(1, abs=0.01)
    assert row["gap"] > 0.7
    adata.obsm["X_simplechrome"] = np.stack([level, 2 * level], axis=1).astype(np.float32)
    assert sct.get.latent_information(adata).set_index("feature").loc["H3K4me3:tss", "gap"] == pytest.approx(0)
    adata.obsm["X_simplechrome"] = level[:, None].astype(np.float32)
    with pytest.raises(ValueError, match="one dimension"):
        sct.get.latent_information(adata)


def test_correlations_are_those_of_scipy(adata):
    table = latent_correlations(adata).set_index(["dimension", "feature"])
    columns = ((adata.var["mark"] == "H3K27me3") & (adata.var["region"] == "body")).to_numpy()
    level = np.log1p(adata.layers["signal"][:, columns].astype(float)).mean(axis=1)
    latent = adata.obsm["X_simplechrome"][:, 3]
    expected = stats.spearmanr(latent, level).statistic
    assert table.loc[(3, "H3K27me3:body"), "correlation"] == pytest.approx(expected, abs=1e-3)
    expression = np.log10(adata.obs["expression"] + 0.1)
    pearson = latent_correlations(adata, method="pearson").set_index(["dimension", "feature"])
    assert pearson.loc[(3, "log_expression"), "correlation"] == pytest.approx(
        stats.pearsonr(latent, expression).statistic
    )
    adata.obs.loc[adata.obs_names[:20], "expression"] = np.nan
    assert latent_correlations(adata).query("feature == 'log_expression'")["n"].unique() == [480]
    with pytest.raises(ValueError, match="kendall"):
        latent_correlations(adata, method="kendall")


def test_nearest_genes_are_those_at_the_least_distance(adata):
    latents = adata.obsm["X_simplechrome"]
    gene = adata.obs_names[11]
    table = sct.get.nearest_genes(adata, gene, n=6)
    distance = np.sqrt(((latents - latents[11]) ** 2).sum(axis=1))
    assert table.index.tolist() == adata.obs_names[np.argsort(distance)[1:7]].tolist()
    np.testing.assert_allclose(table["distance"], np.sort(distance)[1:7], rtol=1e-5)
    assert {"symbol", "expression", "label", "simplechrome_leiden"} <= set(table)


def test_nearest_genes_refuses_unknown_genes_and_too_many(adata):
    gene = adata.obs_names[11]
    with pytest.raises(ValueError, match="n is 500"):
        sct.get.nearest_genes(adata, gene, n=500)
    with pytest.raises(ValueError, match="no gene 'nothing'"):
        sct.get.nearest_genes(adata, "nothing")

"""The graph of co-expressed genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import prepared

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad

KEY = "reference_expression"


@pytest.fixture
def adata() -> ad.AnnData:
    adata = prepared(300)
    adata.obsm[KEY] = np.random.default_rng(0).normal(size=(300, 6)).astype("float32")
    return adata


def correlations(adata: ad.AnnData) -> np.ndarray:
    """Return the correlation of all pairs by pandas, of profiles that are centred by sample."""
    table = pd.DataFrame(adata.obsm[KEY].astype(float))
    return (table - table.mean()).T.corr().to_numpy()


def test_neighbours_are_the_genes_with_the_highest_correlation(adata: ad.AnnData):
    sct.pp.coexpression_neighbors(adata, n_neighbors=7, min_distance=0)
    expected = correlations(adata)
    np.fill_diagonal(expected, -2)
    found = adata.obsp["coexpression_connectivities"].toarray()
    for row, values in enumerate(expected):
        best = np.argsort(-values)[:7]
        assert set(np.flatnonzero(found[row])) == set(best)
        np.testing.assert_allclose(found[row, best], values[best], atol=1e-5)


def test_no_neighbour_lies_near_on_the_chromosome(adata: ad.AnnData):
    sct.pp.coexpression_neighbors(adata, n_neighbors=299)
    gene, neighbor = adata.obsp["coexpression_connectivities"].nonzero()
    chrom, tss = adata.obs["chrom"].astype(str).to_numpy(), adata.obs["tss"].to_numpy(float)
    near = (chrom[gene] == chrom[neighbor]) & (np.abs(tss[gene] - tss[neighbor]) < 1_000_000)
    assert not near.any()
    assert (gene != neighbor).all()
    distances = adata.obsp["coexpression_distances"]
    assert (np.asarray(distances[gene, neighbor]).ravel()[chrom[gene] != chrom[neighbor]] == 0).all()


def test_all_weights_are_positive(adata: ad.AnnData):
    sct.pp.coexpression_neighbors(adata, n_neighbors=299, min_distance=0)
    weights = adata.obsp["coexpression_connectivities"].data
    assert (weights > 0).all()
    assert (weights <= 1).all()


def test_flat_and_unknown_profiles_have_no_neighbours(adata: ad.AnnData, caplog: pytest.LogCaptureFixture):
    adata.obsm[KEY][3] = 0.5
    adata.obsm[KEY][4, 2] = np.nan
    with caplog.at_level("INFO"):
        sct.pp.coexpression_neighbors(adata, n_neighbors=5)
    weights = adata.obsp["coexpression_connectivities"]
    for row in (3, 4):
        assert not weights[row].nnz
        assert not weights[:, row].nnz
    record = adata.uns["coexpression_neighbors"]
    assert (record["n_flat"], record["n_unknown"]) == (1, 1)
    assert "2 genes have no neighbours" in caplog.text


def test_genes_of_one_cell_type_are_connected(adata: ad.AnnData):
    adata.obs["cell_type"] = np.repeat(["A", "B"], 150)
    sct.pp.coexpression_neighbors(adata, n_neighbors=5)
    gene, neighbor = adata.obsp["coexpression_connectivities"].nonzero()
    assert ((gene < 150) == (neighbor < 150)).all()


def test_the_chunks_do_not_matter(adata: ad.AnnData, monkeypatch: pytest.MonkeyPatch):
    whole = sct.pp.coexpression_neighbors(adata, n_neighbors=5, copy=True)
    monkeypatch.setattr("simplechrome_tk.pp._coexpression._CHUNK", 7)
    parts = sct.pp.coexpression_neighbors(adata, n_neighbors=5, copy=True)
    slot = "coexpression_connectivities"
    np.testing.assert_allclose(parts.obsp[slot].toarray(), whole.obsp[slot].toarray(), atol=1e-6)


def test_a_model_reads_the_graph(adata: ad.AnnData):
    sct.pp.coexpression_neighbors(adata, n_neighbors=5)
    model = sct.SimpleChrome(adata, neighbors_key="coexpression", n_latent=2, n_hidden=8, device="cpu")
    assert model.read().graph.index.shape == (300, 5)


@pytest.mark.parametrize(
    ("samples", "arguments", "match"),
    [
        (2, {}, "holds 2 reference samples"),
        (6, {"n_neighbors": 0}, "n_neighbors is 0"),
        (6, {"reference_key": "other"}, "obsm has no 'other'"),
    ],
)
def test_what_cannot_be_done_is_an_error(adata: ad.AnnData, samples: int, arguments: dict, match: str):
    adata.obsm[KEY] = adata.obsm[KEY][:, :samples]
    with pytest.raises(ValueError, match=match):
        sct.pp.coexpression_neighbors(adata, **arguments)


def test_profiles_that_are_all_flat_are_an_error(adata: ad.AnnData):
    adata.obsm[KEY][:] = 1
    with pytest.raises(ValueError, match="no two of the 300 genes correlate"):
        sct.pp.coexpression_neighbors(adata)

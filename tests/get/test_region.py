"""One region as genes by marks by bins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from simplechrome_tk import get, pp

MARKS = ("H3K4me3", "H3K27me3")


@pytest.mark.parametrize(("name", "n_bins"), [("tss", 8), ("body", 3)])
def test_region_is_a_view_by_gene_mark_and_bin(adata, name, n_bins):
    view = get.region(adata, name)
    assert view.shape == (12, 2, n_bins)
    assert np.shares_memory(view, adata.X)
    for i, mark in enumerate(MARKS):
        columns = ((adata.var["region"] == name) & (adata.var["mark"] == mark)).to_numpy()
        np.testing.assert_array_equal(view[:, i], adata.X[:, columns])
        assert (adata.var.loc[columns, "bin"] == np.arange(n_bins)).all()
    view[3, 1, 2] = -7
    assert adata[:, adata.var["region"] == name].X[3, n_bins + 2] == -7


def test_region_of_a_layer(adata):
    adata.layers["twice"] = adata.X * 2
    np.testing.assert_array_equal(get.region(adata, "body", layer="twice"), 2 * get.region(adata, "body"))
    assert np.shares_memory(get.region(adata, "body", layer="twice"), adata.layers["twice"])


def test_signal_is_what_it_was_before_normalisation(adata):
    before = get.region(adata, "tss", layer="signal").copy()
    np.testing.assert_array_equal(before, get.region(adata, "tss"))
    adata.obs["split"] = "train"
    pp.normalize(adata)
    np.testing.assert_array_equal(get.region(adata, "tss", layer="signal"), before)
    assert not np.allclose(get.region(adata, "tss"), before)
    del adata.layers["signal"]
    with pytest.raises(ValueError, match=r"'signal' \(found: none\)"):
        get.region(adata, "tss", layer="signal")


@pytest.mark.parametrize(
    ("region", "layer", "message"),
    [
        ("tes", None, "no region 'tes'; regions here: tss, body"),
        ("tss", "attribution", r"no layer 'attribution' \(found: none\).*layer=None"),
    ],
)
def test_unknown_regions_and_layers_are_named(adata, region, layer, message):
    with pytest.raises(ValueError, match=message):
        get.region(adata, region, layer=layer)


def test_columns_in_another_order_are_named(adata):
    with pytest.raises(ValueError, match="mark-major"):
        get.region(adata[:, ::-1].copy()[:, [0, 5, 1]], "body")


def test_a_sparse_matrix_is_named(adata):
    adata.X = sparse.csr_matrix(adata.X)
    with pytest.raises(ValueError, match=r"X is csr_\w+.*dense"):
        get.region(adata, "tss")

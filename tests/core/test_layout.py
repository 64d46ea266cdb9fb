"""The checked view of the columns of an AnnData."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from builders import prepared

import simplechrome_tk as sct
from simplechrome_tk.core.layout import Layout

MARKS = ["H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3"]


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    return prepared()


@pytest.fixture(scope="module")
def layout(adata: ad.AnnData) -> Layout:
    return Layout.of(adata)


def test_each_column_has_its_mark_region_and_position(adata, layout):
    assert layout.mark.tolist() == adata.var["mark"].astype(str).tolist()
    assert layout.region.tolist() == adata.var["region"].astype(str).tolist()
    np.testing.assert_array_equal(layout.middle, (adata.var["start_bp"] + adata.var["end_bp"]) / 2)
    assert layout.n_columns == adata.n_vars


def test_marks_and_regions_are_in_column_order(layout):
    assert layout.marks == MARKS
    assert layout.regions == ["tss", "body"]


def test_blocks_cover_the_columns_without_gaps(adata, layout):
    starts, stops = layout.blocks["start"].tolist(), layout.blocks["stop"].tolist()
    assert starts == [0, *stops[:-1]]
    assert stops[-1] == adata.n_vars


def test_values_of_blocks_become_values_of_columns(layout):
    np.testing.assert_array_equal(layout.expand(np.arange(len(layout.blocks))), layout.block)
    assert layout.expand(layout.blocks["mark"]).tolist() == layout.mark.tolist()


def test_sums_of_blocks(adata, layout):
    sums = layout.block_sums(adata.X)
    expected = [adata.X[:, layout.block == block].sum(axis=1) for block in range(len(layout.blocks))]
    np.testing.assert_allclose(sums, np.transpose(expected), rtol=1e-4, atol=1e-3)


def test_only_the_body_is_scaled(layout):
    assert layout.window("tss") == (-5_000, 5_000)
    assert layout.window("body") == (0, 1)
    assert [layout.is_scaled(region) for region in ("tss", "body")] == [False, True]


def test_a_region_is_a_view_of_genes_marks_and_bins(adata, layout):
    view = layout.view(adata.X, "body")
    assert view.shape == (adata.n_obs, len(MARKS), 20)
    assert np.shares_memory(view, adata.X)
    np.testing.assert_array_equal(view[:, 1], adata[:, "H3K4me1:body:0.025":"H3K4me1:body:0.975"].X)


def test_an_unknown_region_is_refused(layout, adata):
    with pytest.raises(ValueError, match="no region 'tes'; regions here: tss, body"):
        layout.view(adata.X, "tes")


@pytest.mark.parametrize("column", ["mark", "region", "start_bp", "end_bp"])
def test_a_missing_column_is_named(adata, column):
    other = ad.AnnData(adata.X, obs=adata.obs, var=adata.var.drop(columns=column))
    with pytest.raises(ValueError, match=rf"var has no column {column}.*sct\.pp\.bin_peaks"):
        Layout.of(other)


@pytest.mark.parametrize(
    "select",
    [
        lambda var: np.argsort(var["bin"].to_numpy(), kind="stable"),
        lambda var: np.flatnonzero((var["mark"] != "H3K4me3") | (var["region"] == "tss")),
        lambda var: np.arange(1, len(var)),
        lambda var: np.argsort((var["region"] == "tss") & (var["mark"] == "H3K4me3"), kind="stable"),
    ],
    ids=["bins first", "marks that differ by region", "a shorter block", "a mark out of order"],
)
def test_columns_that_are_not_mark_major_are_refused(adata, select):
    with pytest.raises(ValueError, match="not mark-major"):
        Layout.of(adata[:, select(adata.var)])


def test_an_anndata_without_genes_is_refused(adata):
    with pytest.raises(ValueError, match="adata has 0 genes"):
        Layout.of(adata[:0])


def test_signal_is_x_before_normalisation():
    raw = prepared(method=None)
    np.testing.assert_array_equal(sct.get.region(raw, "tss", layer="signal"), sct.get.region(raw, "tss"))
    with pytest.raises(ValueError, match="no layer 'other'"):
        sct.get.region(raw, "tss", layer="other")

"""Mean signal along the gene, as a table."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from simplechrome_tk import get, pp

MARKS = ("H3K4me3", "H3K27me3")


def test_mark_profiles_are_means_with_intervals(adata, caplog):
    with caplog.at_level(logging.INFO):
        table = get.mark_profiles(adata)
    assert list(table) == ["region", "mark", "position", "group", "mean", "low", "high", "n"]
    assert len(table) == 2 * (8 + 3) * 2
    assert "1 of 12 genes have no label" in caplog.text
    assert list(table["group"].cat.categories) == ["low", "high"]
    assert table.groupby("group", observed=True)["n"].unique().map(list).to_dict() == {"low": [6], "high": [5]}
    for (region, mark, group), part in table.groupby(["region", "mark", "group"], observed=True):
        rows = (adata.obs["label"] == group).to_numpy()
        values = get.region(adata, region)[rows, MARKS.index(mark)].astype(float)
        np.testing.assert_allclose(part["mean"], values.mean(axis=0))
        half = stats.norm.ppf(0.975) * stats.sem(values, axis=0)
        np.testing.assert_allclose(part["low"], values.mean(axis=0) - half)
        np.testing.assert_allclose(part["high"], values.mean(axis=0) + half)
    tss = table[(table["region"] == "tss") & (table["mark"] == MARKS[0]) & (table["group"] == "low")]
    assert tss["position"].tolist() == [-1750, -1250, -750, -250, 250, 750, 1250, 1750]
    body = table[(table["region"] == "body") & (table["mark"] == MARKS[1]) & (table["group"] == "high")]
    np.testing.assert_allclose(body["position"], [1 / 6, 1 / 2, 5 / 6])
    assert list(dict.fromkeys(zip(table["region"], table["mark"], strict=True))) == [
        ("tss", "H3K4me3"),
        ("tss", "H3K27me3"),
        ("body", "H3K4me3"),
        ("body", "H3K27me3"),
    ]


def test_mark_profiles_by_another_column_and_layer(adata):
    adata.layers["attribution"] = -adata.X
    table = get.mark_profiles(adata, groupby="strand", layer="attribution")
    assert table["group"].unique().tolist() == ["+", "-"]
    plus = table[table["group"] == "+"]["mean"].to_numpy()
    np.testing.assert_allclose(plus, -adata.X[::2].mean(axis=0), rtol=1e-5)


def test_mark_profiles_read_the_signal_by_default(adata):
    expected = get.mark_profiles(adata)
    adata.obs["split"] = "train"
    pp.normalize(adata)
    pd.testing.assert_frame_equal(get.mark_profiles(adata), expected)
    assert get.mark_profiles(adata, layer=None)["mean"].min() < 0


def test_a_group_of_one_has_no_interval(adata):
    adata.obs["cluster"] = ["a"] + ["b"] * 11
    table = get.mark_profiles(adata, groupby="cluster").set_index("group")
    assert table.loc["a", ["low", "high"]].isna().all(axis=None)
    assert table.loc["b", ["low", "high"]].notna().all(axis=None)


def test_an_unknown_column_of_groups_is_named(adata):
    with pytest.raises(ValueError, match=r"'leiden'.*groupby"):
        get.mark_profiles(adata, groupby="leiden")


def test_groups_that_are_missing_for_all_genes_are_named(adata):
    adata.obs["label"] = np.nan
    with pytest.raises(ValueError, match=r"obs\['label'\].*12 genes: run sct\.pp\.label_expression"):
        get.mark_profiles(adata)


def test_profiles_of_attributions_leave_out_genes_without(attributed, caplog):
    known = np.flatnonzero(np.arange(200) % 5 != 4)
    with caplog.at_level(logging.INFO):
        table = get.mark_profiles(attributed, layer="attribution")
    assert "40 of 200 genes have no values in attribution and are left out" in caplog.text
    assert table["mean"].notna().all()
    pd.testing.assert_frame_equal(table, get.mark_profiles(attributed[known].copy(), layer="attribution"))
    attributed.layers["attribution"][:] = np.nan
    with pytest.raises(ValueError, match="no gene with a label has values in attribution"):
        get.mark_profiles(attributed, layer="attribution")

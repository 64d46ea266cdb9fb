from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from simplechrome_tk import get, pp

MARKS = ("H3K4me3", "H3K27me3")
WINDOWS = (
    pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8),
    pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=3),
)


def make(n=12, seed=0):
    """Genes on one chromosome under random peaks; the first six low, the others high, the last without a label."""
    rng = np.random.default_rng(seed)
    tss = 20_000 * np.arange(1, n + 1)
    minus = np.arange(n) % 2 == 1
    genes = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": np.where(minus, tss - 9_000, tss),
            "end": np.where(minus, tss, tss + 9_000),
            "strand": np.where(minus, "-", "+"),
            "tss": tss,
            "label": pd.Categorical(
                ["low"] * 6 + ["high"] * (n - 7) + [None], categories=["low", "high"], ordered=True
            ),
        },
        index=[f"g{i}" for i in range(n)],
    )
    start = rng.integers(0, 20_000 * (n + 2), 300)
    peaks = {
        mark: pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 900, "signal": rng.gamma(2, 3, 300)})
        for mark in MARKS
    }
    return pp.bin_peaks(peaks, genes, windows=WINDOWS)


@pytest.mark.parametrize(("name", "n_bins"), [("tss", 8), ("body", 3)])
def test_region_is_a_view_by_gene_mark_and_bin(name, n_bins):
    adata = make()
    view = get.region(adata, name)
    assert view.shape == (12, 2, n_bins)
    assert np.shares_memory(view, adata.X)
    for i, mark in enumerate(MARKS):
        columns = ((adata.var["region"] == name) & (adata.var["mark"] == mark)).to_numpy()
        np.testing.assert_array_equal(view[:, i], adata.X[:, columns])
        assert (adata.var.loc[columns, "bin"] == np.arange(n_bins)).all()
    view[3, 1, 2] = -7
    assert adata[:, adata.var["region"] == name].X[3, n_bins + 2] == -7


def test_region_of_a_layer():
    adata = make()
    adata.layers["twice"] = adata.X * 2
    np.testing.assert_array_equal(get.region(adata, "body", layer="twice"), 2 * get.region(adata, "body"))
    assert np.shares_memory(get.region(adata, "body", layer="twice"), adata.layers["twice"])


def test_signal_is_what_it_was_before_normalisation():
    adata = make()
    before = get.region(adata, "tss", layer="signal").copy()
    np.testing.assert_array_equal(before, get.region(adata, "tss"))
    adata.obs["split"] = "train"
    pp.normalize(adata)
    np.testing.assert_array_equal(get.region(adata, "tss", layer="signal"), before)
    assert not np.allclose(get.region(adata, "tss"), before)
    del adata.layers["signal"]
    with pytest.raises(ValueError, match="no layer 'signal' \\(found: none\\)"):
        get.region(adata, "tss", layer="signal")


def test_region_bad_input_is_named():
    adata = make()
    with pytest.raises(ValueError, match="no region 'tes'; regions here: tss, body"):
        get.region(adata, "tes")
    with pytest.raises(ValueError, match="no layer 'attribution' \\(found: none\\); layer=None reads X"):
        get.region(adata, "tss", layer="attribution")
    with pytest.raises(ValueError, match="not mark-major"):
        get.region(adata[:, ::-1].copy()[:, [0, 5, 1]], "body")
    adata.X = sparse.csr_matrix(adata.X)
    with pytest.raises(ValueError, match=r"X is csr_\w+; expected a dense array"):
        get.region(adata, "tss")


def test_mark_profiles_are_means_with_intervals(caplog):
    adata = make()
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


def test_mark_profiles_by_another_column_and_layer():
    adata = make()
    adata.layers["attribution"] = -adata.X
    table = get.mark_profiles(adata, groupby="strand", layer="attribution")
    assert table["group"].unique().tolist() == ["+", "-"]
    plus = table[table["group"] == "+"]["mean"].to_numpy()
    np.testing.assert_allclose(plus, -adata.X[::2].mean(axis=0), rtol=1e-5)


def test_mark_profiles_read_the_signal_unless_told_otherwise():
    adata = make()
    expected = get.mark_profiles(adata)
    adata.obs["split"] = "train"
    pp.normalize(adata)
    pd.testing.assert_frame_equal(get.mark_profiles(adata), expected)
    assert get.mark_profiles(adata, layer=None)["mean"].min() < 0


def test_a_group_of_one_has_no_interval():
    adata = make()
    adata.obs["cluster"] = ["a"] + ["b"] * 11
    table = get.mark_profiles(adata, groupby="cluster").set_index("group")
    assert table.loc["a", ["low", "high"]].isna().all(axis=None)
    assert table.loc["b", ["low", "high"]].notna().all(axis=None)


def test_mark_profiles_bad_input_is_named():
    adata = make()
    with pytest.raises(ValueError, match=r"obs has no column 'leiden' .* name one of them with groupby"):
        get.mark_profiles(adata, groupby="leiden")
    adata.obs["label"] = np.nan
    with pytest.raises(ValueError, match=r"obs\['label'\] is missing for all 12 genes: run sct.pp.label_expression"):
        get.mark_profiles(adata)

"""Factors of samples: given, from size factors, applied once."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct


@pytest.fixture
def adata() -> ad.AnnData:
    return sct.datasets.simulate_conditions(300, n_replicates=2, marks=["H3K4me3", "H3K27me3"], n_changed=20)


def columns(adata, mark):
    return (adata.var["mark"] == mark).to_numpy()


def rows(adata, sample):
    return (adata.obs["sample"] == sample).to_numpy()


def test_a_factor_multiplies_the_signal_of_its_sample(adata, tmp_path):
    before = adata.X.copy()
    changed = sct.pp.scale_samples(adata, {"A1": 1, "A2": 2, "B1": 0.5, "B2": 1}, copy=True)
    np.testing.assert_array_equal(adata.X, before)
    np.testing.assert_array_equal(changed.X[rows(adata, "A2")], 2 * before[rows(adata, "A2")])
    np.testing.assert_array_equal(changed.X[rows(adata, "B1")], before[rows(adata, "B1")] / 2)
    np.testing.assert_array_equal(changed.X[rows(adata, "B2")], before[rows(adata, "B2")])
    record = changed.uns["scale_samples"]
    assert record["method"] == "given"
    assert record["factors"].loc["A2"].to_dict() == {"H3K4me3": 2.0, "H3K27me3": 2.0}
    changed.write_h5ad(tmp_path / "a.h5ad")
    assert ad.read_h5ad(tmp_path / "a.h5ad").uns["scale_samples"]["factors"].loc["B1", "H3K4me3"] == 0.5


def test_factors_of_one_mark_leave_the_other(adata):
    before = adata.X.copy()
    table = pd.DataFrame({"H3K27me3": [1.0, 1.0, 3.0, 3.0]}, index=["A1", "A2", "B1", "B2"])
    sct.pp.scale_samples(adata, table)
    of_mark, in_b = columns(adata, "H3K27me3"), (adata.obs["condition"] == "B").to_numpy()
    np.testing.assert_array_equal(adata.X[:, ~of_mark], before[:, ~of_mark])
    np.testing.assert_array_equal(adata.X[np.ix_(in_b, of_mark)], 3 * before[np.ix_(in_b, of_mark)])
    nested = sct.datasets.simulate_conditions(300, n_replicates=2, marks=["H3K4me3", "H3K27me3"], n_changed=20)
    sct.pp.scale_samples(nested, {name: {"H3K27me3": row["H3K27me3"]} for name, row in table.iterrows()})
    np.testing.assert_array_equal(nested.X, adata.X)


def test_size_factors_undo_a_difference_of_depth(adata):
    clean = adata.copy()
    adata.X[np.ix_(rows(adata, "B2"), columns(adata, "H3K4me3"))] *= 4
    sct.pp.scale_samples(adata)
    sct.pp.scale_samples(clean)
    factors, plain = (data.uns["scale_samples"]["factors"] for data in (adata, clean))
    np.testing.assert_allclose(plain, 1, atol=0.05)
    ratio = factors / plain
    assert (ratio.at["A1", "H3K4me3"] / ratio.at["B2", "H3K4me3"]) == pytest.approx(4)
    np.testing.assert_allclose(ratio["H3K27me3"], 1)


def test_size_factors_are_medians_of_ratios():
    adata = sct.datasets.simulate_conditions(300, n_replicates=1, marks=["H3K4me3"])
    level = adata.X.mean(axis=1, dtype=float).reshape(2, -1)
    level = np.log(level[:, (level > 0).all(axis=0)])
    expected = np.exp(-np.median(level - level.mean(axis=0), axis=1))
    sct.pp.scale_samples(adata)
    np.testing.assert_allclose(adata.uns["scale_samples"]["factors"]["H3K4me3"], expected)


def test_samples_are_scaled_once_and_before_normalisation(adata):
    sct.pp.scale_samples(adata, dict.fromkeys(["A1", "A2", "B1", "B2"], 2))
    with pytest.raises(ValueError, match="scaled already"):
        sct.pp.scale_samples(adata)
    del adata.uns["scale_samples"]
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    with pytest.raises(ValueError, match="normalised already"):
        sct.pp.scale_samples(adata)


def test_a_log_ratio_is_not_scaled(adata):
    sct.pp.subtract_control(adata, adata.copy(), method="log_ratio")
    with pytest.raises(ValueError, match="log ratio to the control"):
        sct.pp.scale_samples(adata)


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ({"A1": 1, "A2": 1, "B1": 1}, "lack the samples B2, and name none"),
        ({"A1": 1, "A2": 1, "B1": 1, "B2": 1, "C": 1}, "lack the samples none, and name C"),
        (dict.fromkeys(["A1", "A2", "B1", "B2"], 0), "factor of H3K4me3 in A1 is 0"),
        ({name: {"H3K9ac": 1} for name in ("A1", "A2", "B1", "B2")}, "the marks H3K9ac"),
        ({"A1": 1, "A2": 1, "B1": 1, "B2": {"H3K4me3": 1}}, "B2 lack H3K27me3"),
        (3, "factors is of type int"),
    ],
)
def test_factors_that_do_not_fit_are_refused(adata, factors, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.scale_samples(adata, factors)


def test_size_factors_need_two_samples_with_signal(adata):
    with pytest.raises(ValueError, match="one sample, 'A1'"):
        sct.pp.scale_samples(adata[rows(adata, "A1")].copy())
    adata.X[np.ix_(rows(adata, "A1"), columns(adata, "H3K27me3"))] = 0
    with pytest.raises(ValueError, match="H3K27me3: 0 genes have signal in all 4 samples"):
        sct.pp.scale_samples(adata)

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct

MARKS = ("H3K4me3", "H3K36me3", "H3K27me3")


@pytest.fixture
def adata() -> ad.AnnData:
    """300 genes, 3 marks of different scale, two regions; signal skewed and mostly 0, as peaks are."""
    rng = np.random.default_rng(0)
    n = 300
    var = pd.DataFrame(
        [(mark, region, i) for region, n_bins in (("tss", 10), ("body", 4)) for mark in MARKS for i in range(n_bins)],
        columns=["mark", "region", "bin"],
    )
    var["start_bp"], var["end_bp"] = var["bin"] * 100, (var["bin"] + 1) * 100
    scale = var["mark"].map({"H3K4me3": 30.0, "H3K36me3": 2.0, "H3K27me3": 0.5}).to_numpy()
    signal = rng.gamma(0.5, 1.0, (n, len(var))) * scale * (rng.random((n, len(var))) < 0.4)
    obs = pd.DataFrame({"split": rng.choice(["train", "valid", "test"], n)}, index=[f"g{i}" for i in range(n)])
    return ad.AnnData(signal.astype(np.float32), obs=obs, var=var.set_index(var.index.astype(str)))


def of_block(adata: ad.AnnData, region: str, mark: str) -> np.ndarray:
    return adata[adata.obs["split"] == "train", (adata.var["region"] == region) & (adata.var["mark"] == mark)].X


def test_each_mark_of_each_region_is_standard_over_training_genes(adata):
    signal = adata.X.copy()
    sct.pp.normalize(adata)
    for region in ("tss", "body"):
        for mark in MARKS:
            values = of_block(adata, region, mark)
            assert values.mean(dtype=float) == pytest.approx(0, abs=1e-5)
            assert values.std(dtype=float) == pytest.approx(1, abs=1e-5)
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.layers["signal"], signal)


def test_constants_invert_the_normalisation(adata):
    sct.pp.normalize(adata)
    constants = pd.DataFrame({key: value for key, value in adata.uns["normalize"].items() if key != "method"})
    row = adata.var.merge(constants, on=["region", "mark"], how="left")
    restored = np.expm1(adata.X * row["scale"].to_numpy() + row["center"].to_numpy())
    np.testing.assert_allclose(restored, adata.layers["signal"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["log1p", "paper"])
def test_other_genes_do_not_move_the_constants(adata, method):
    changed = adata.copy()
    changed.X[changed.obs["split"] != "train"] = 1e4
    sct.pp.normalize(adata, method=method)
    sct.pp.normalize(changed, method=method)
    for key in ("center", "scale"):
        np.testing.assert_array_equal(adata.uns["normalize"][key], changed.uns["normalize"][key])
    train = adata.obs["split"] == "train"
    np.testing.assert_array_equal(adata[train].X, changed[train].X)


def test_paper_scaling_maps_training_genes_to_minus_one_to_one(adata):
    sct.pp.normalize(adata, method="paper")
    for region in ("tss", "body"):
        for mark in MARKS:
            values = of_block(adata, region, mark)
            assert (values.min(), values.max()) == (-1, pytest.approx(1, abs=1e-6))


@pytest.mark.parametrize("method", ["log1p", "paper"])
def test_reference_from_a_file_gives_the_same_numbers(adata, method, tmp_path):
    raw = adata.copy()
    del raw.obs["split"]
    sct.pp.normalize(adata, method=method)
    adata.write_h5ad(tmp_path / "a.h5ad")
    for reference in (adata.uns["normalize"], ad.read_h5ad(tmp_path / "a.h5ad").uns["normalize"]):
        again = sct.pp.normalize(raw, reference=reference, copy=True)
        np.testing.assert_array_equal(again.X, adata.X)
        assert again.uns["normalize"]["method"] == method


def test_reference_for_other_columns_is_refused(adata):
    reference = sct.pp.normalize(adata, copy=True).uns["normalize"]
    fewer = adata[:, adata.var["mark"] != "H3K27me3"].copy()
    with pytest.raises(ValueError, match=r"reference is for .*H3K27me3:tss.*the data hold H3K4me3:tss, "):
        sct.pp.normalize(fewer, reference=reference)


def test_the_method_of_the_reference_is_the_default(adata):
    reference = sct.pp.normalize(adata, method="paper", copy=True).uns["normalize"]
    for method in (None, "paper"):
        assert (
            sct.pp.normalize(adata, method=method, reference=reference, copy=True).uns["normalize"]["method"] == "paper"
        )


def test_another_method_than_that_of_the_reference_is_refused(adata):
    reference = sct.pp.normalize(adata, copy=True).uns["normalize"]
    with pytest.raises(ValueError, match=r"method is 'quantile'.*method='log1p'"):
        sct.pp.normalize(adata, method="quantile", reference=reference)
    assert "normalize" not in adata.uns


def test_a_copy_shares_nothing_with_the_original(adata):
    before = adata.X.copy()
    copy = sct.pp.normalize(adata, copy=True)
    copy.layers["signal"][:] = -1
    np.testing.assert_array_equal(adata.X, before)
    assert "normalize" not in adata.uns
    assert "signal" not in adata.layers


def test_twice_says_how_to_start_again_and_that_works(adata):
    once = sct.pp.normalize(adata, copy=True)
    with pytest.raises(ValueError, match="normalised already") as error:
        sct.pp.normalize(once)
    exec(str(error.value).split("start again: ")[1].rstrip("."), {"adata": once})
    sct.pp.normalize(once)
    np.testing.assert_array_equal(once.X, sct.pp.normalize(adata, copy=True).X)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "X holds 1 missing or infinite values, the first for gene 'g7' in '3'"),
        (np.inf, "missing or infinite"),
        (-0.5, "X holds 1 negative values, the first for gene 'g7' in '3'"),
    ],
)
def test_bad_signal_is_refused(adata, value, message):
    adata.X[7, 3] = value
    with pytest.raises(ValueError, match=message):
        sct.pp.normalize(adata)
    assert "normalize" not in adata.uns


def test_a_mark_of_one_value_is_told_and_stays_finite(adata, caplog):
    adata.X[:, adata.var["mark"] == "H3K27me3"] = 0
    sct.pp.normalize(adata)
    assert "H3K27me3 has one value only in region tss" in caplog.text
    assert not adata.X[:, adata.var["mark"] == "H3K27me3"].any()


def test_training_genes_are_needed(adata):
    adata.obs["split"] = "test"
    with pytest.raises(ValueError, match=r"no gene has obs\['split'\] == 'train'"):
        sct.pp.normalize(adata)
    del adata.obs["split"]
    with pytest.raises(ValueError, match=r"run sct\.pp\.split_by_chromosome\(adata\) first"):
        sct.pp.normalize(adata)


def test_unknown_method_lists_the_choices(adata):
    with pytest.raises(ValueError, match="choose one of log1p, quantile, paper"):
        sct.pp.normalize(adata, method="zscore")


def test_columns_out_of_order_are_refused(adata):
    with pytest.raises(ValueError, match=r"columns of region '\w+' are not mark-major"):
        sct.pp.normalize(adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy())
    with pytest.raises(ValueError, match=r"var has no column mark"):
        sct.pp.normalize(ad.AnnData(adata.X, obs=adata.obs, var=adata.var.drop(columns="mark")))


def test_quantiles_give_another_pipeline_the_distribution_of_the_training_genes():
    first = sct.datasets.simulate(1_200, rng=0)
    second = first.copy()
    second.X = second.X**1.7 * 5  # the same chromatin seen by another pipeline
    sct.pp.split_by_chromosome(first)
    sct.pp.normalize(first, method="quantile")
    sct.pp.normalize(second, reference=first.uns["normalize"])
    np.testing.assert_allclose(second.X, first.X, atol=1e-3)
    order = np.argsort(first.layers["signal"][:, :100], axis=None, kind="stable")
    assert (np.diff(first.X[:, :100].ravel()[order]) >= 0).all(), "order within a mark stays"


def test_quantiles_are_exchanged_in_each_cell_type_and_equal_values_stay_equal(caplog: pytest.LogCaptureFixture):
    adata = sct.datasets.simulate(400)
    other = adata.copy()
    other.X = np.where(other.X > np.median(other.X), other.X * 3, 0)
    adata.obs["cell_type"], other.obs["cell_type"] = "A", "B"
    both = ad.concat([adata, other], index_unique=":", merge="same")
    sct.pp.split_by_chromosome(both)
    with caplog.at_level("WARNING"):
        sct.pp.normalize(both, method="quantile")
    assert "A: the distribution of each mark is estimated from 400 genes only" in caplog.text
    mark = both[:, (both.var["mark"] == both.var["mark"].iloc[0]) & (both.var["region"] == "tss")]
    zero = (mark.layers["signal"] == 0) & (mark.obs["cell_type"] == "B").to_numpy()[:, None]
    assert len(np.unique(mark.X[zero])) == 1
    means = [mark.X[(mark.obs["cell_type"] == cell).to_numpy()].mean(dtype=float) for cell in ("A", "B")]
    assert means[0] == pytest.approx(means[1], abs=0.02)


def test_a_track_with_a_background_keeps_its_highest_bins(caplog: pytest.LogCaptureFixture):
    peaks = sct.datasets.simulate(1_200)
    dense = peaks.copy()
    rng = np.random.default_rng(0)
    dense.X = np.where(dense.X > 0, dense.X + 1, rng.uniform(0.01, 0.5, dense.shape)).astype(np.float32)
    sct.pp.split_by_chromosome(peaks)
    sct.pp.normalize(peaks, method="quantile")
    with caplog.at_level("WARNING"):
        sct.pp.normalize(dense, reference=peaks.uns["normalize"])
    assert "10 of 10 marks and regions have a background instead of zeros, such as H3K4me3:tss" in caplog.text
    for start in range(0, 500, 100):
        was_zero = peaks.layers["signal"][:, start : start + 100] == 0
        now_zero = dense.X[:, start : start + 100] == dense.X[:, start : start + 100].min()
        assert (was_zero == now_zero).mean() > 0.98


def test_samples_share_their_constants():
    both = sct.datasets.simulate_conditions(300, n_replicates=1, n_changed=0, marks=["H3K4me3"])
    in_b = (both.obs["condition"] == "B").to_numpy()
    both.X[in_b] *= 3
    sct.pp.split_by_chromosome(both)
    sct.pp.normalize(both, method="log1p")
    assert len(both.uns["normalize"]["center"]) == 2
    restored = np.expm1(both.X * both.uns["normalize"]["scale"][0] + both.uns["normalize"]["center"][0])
    np.testing.assert_allclose(restored[:, :100], both.layers["signal"][:, :100], rtol=1e-4, atol=1e-4)


def test_quantiles_make_samples_comparable():
    both = sct.datasets.simulate_conditions(1_000, n_replicates=1, n_changed=0, marks=["H3K4me3"])
    single = both.copy()
    in_b = (both.obs["condition"] == "B").to_numpy()
    both.X[in_b] *= 3
    for adata in (single, both):
        sct.pp.split_by_chromosome(adata)
        sct.pp.normalize(adata, method="quantile")
    levels = [both.X[rows, :100].mean(dtype=float) for rows in (in_b, ~in_b)]
    assert levels[0] == pytest.approx(levels[1], abs=0.03)
    change = [adata.X[in_b, :100].mean(axis=1) - adata.X[~in_b, :100].mean(axis=1) for adata in (both, single)]
    np.testing.assert_allclose(change[0], change[1], atol=0.05)


def test_a_spike_in_is_applied_before_and_not_undone():
    both = sct.datasets.simulate_conditions(300, n_replicates=1, n_changed=0, marks=["H3K4me3"])
    plain = both.copy()
    sct.pp.scale_samples(both, {"A1": 1, "B1": 3})
    for adata in (both, plain):
        sct.pp.split_by_chromosome(adata)
    with pytest.raises(ValueError, match="quantiles would undo"):
        sct.pp.normalize(both, method="quantile")
    sct.pp.normalize(plain, method="quantile")
    with pytest.raises(ValueError, match="quantiles would undo"):
        sct.pp.normalize(both, reference=plain.uns["normalize"])
    sct.pp.normalize(both)
    in_b = (both.obs["condition"] == "B").to_numpy()
    assert both.X[in_b].mean() > both.X[~in_b].mean() + 0.3

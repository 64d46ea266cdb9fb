from __future__ import annotations

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit
from sklearn.calibration import calibration_curve

from simplechrome_tk import evaluation, pl, pp
from simplechrome_tk.evaluation._metrics import calibration_bins, expected_calibration_error


def calibrated(n, seed=0):
    """Labels drawn from their own probabilities."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(0.5, 0.5, n)
    return (rng.random(n) < probability).astype(float), probability


def ece(truth, probability, n_bins=15):
    return expected_calibration_error(truth, probability, np.ones((1, len(truth))), n_bins=n_bins)[0]


@pytest.mark.parametrize("n_bins", [5, 15])
def test_equals_sklearn_on_bins_of_equal_count(n_bins):
    truth, probability = calibrated(40 * n_bins)
    share, mean = calibration_curve(truth, probability, n_bins=n_bins, strategy="quantile")
    assert ece(truth, probability, n_bins) == pytest.approx(np.abs(share - mean).mean())
    bins = calibration_bins(truth, probability, np.ones((1, len(truth))), n_bins=n_bins)
    assert (bins.number == 40).all()
    np.testing.assert_allclose(bins.high[0] / 40, share)
    np.testing.assert_allclose(bins.expected[0] / 40, mean)


def test_closed_forms():
    truth = np.tile([1.0, 0.0, 0.0, 0.0], 25)
    assert ece(truth, np.full(100, 0.25)) == pytest.approx(0)  # ties share a bin
    assert ece(truth, np.full(100, 0.9)) == pytest.approx(0.65)
    assert ece(truth, truth) == 0
    assert ece(truth, 1 - truth) == 1


def test_shrinks_with_the_number_of_calibrated_genes():
    few, many = (np.mean([ece(*calibrated(n, seed)) for seed in range(20)]) for n in (200, 20_000))
    assert many < 0.01 < few
    truth, probability = calibrated(20_000)
    assert ece(truth, expit(3 * np.log(probability / (1 - probability)))) > 0.05


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 0.1, 0.5, 0.9, 1]), st.integers(0, 3)), min_size=1))
def test_a_weight_counts_like_a_repeated_gene_in_any_order(genes):
    truth, probability, times = (np.array(values, dtype=float) for values in zip(*genes, strict=True))
    found = expected_calibration_error(truth, probability, times[None])[0]
    if times.sum() == 0:
        assert np.isnan(found)
        return
    rows = np.random.default_rng(0).permutation(np.repeat(np.arange(len(truth)), times.astype(int)))
    assert found == pytest.approx(ece(truth[rows], probability[rows]), abs=1e-12)
    assert 0 <= found <= 1


@pytest.fixture
def adata():
    truth, probability = calibrated(900)
    obs = pd.DataFrame(
        {"label": np.where(truth > 0, "high", "low"), "split": "test"}, index=[f"g{i}" for i in range(900)]
    )
    adata = ad.AnnData(obs=obs)
    adata.uns["prediction"] = pd.DataFrame({"probability": probability}, index=obs.index)
    return adata


def test_interval_holds_the_value_and_covers_chance(adata):
    rows = evaluation.evaluate(adata, adata.uns["prediction"], n_bootstrap=500).set_index("metric")
    low, value, high = rows.loc["ECE", ["low", "value", "high"]]
    assert 0 <= low < value < high < 0.08
    inside = 0
    for seed in range(60):
        truth, probability = calibrated(900, seed)
        a = adata.copy()
        a.obs["label"] = np.where(truth > 0, "high", "low")
        prediction = pd.DataFrame({"probability": np.clip(probability + 0.1, 0, 1)}, index=a.obs_names)
        row = evaluation.evaluate(a, prediction, n_bootstrap=200).set_index("metric").loc["ECE"]
        big, share = calibrated(200_000, seed)
        inside += row["low"] <= ece(big, np.clip(share + 0.1, 0, 1)) <= row["high"]
    assert inside / 60 > 0.85


def test_diagram_draws_each_bin(adata):
    worse = adata.uns["prediction"] ** 2
    ax = pl.calibration(adata, {"good": adata.uns["prediction"], "low": worse}, n_bins=9)
    truth = (adata.obs["label"] == "high").to_numpy(float)
    errors = []
    for container, table in zip(ax.containers, (adata.uns["prediction"], worse), strict=True):
        share, mean = calibration_curve(truth, table["probability"], n_bins=9, strategy="quantile")
        line, _, (bars,) = container
        np.testing.assert_allclose(line.get_xdata(), mean)
        np.testing.assert_allclose(line.get_ydata(), share)
        errors.append(np.abs(share - mean).mean())
        for count, segment in zip(share * 100, bars.get_segments(), strict=True):
            expected = stats.binomtest(round(count), 100).proportion_ci(method="wilson")
            np.testing.assert_allclose(segment[:, 1], [expected.low, expected.high], atol=1e-9)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "perfectly calibrated (ECE 0.000)",
        f"good (ECE {errors[0]:.3f})",
        f"low (ECE {errors[1]:.3f})",
    ]
    assert ax.get_title(loc="left").startswith("test split: 900 genes")
    assert ax.get_xlabel() == "predicted probability of high (mean of bin)"


def test_diagram_of_one_prediction_with_ties_on_given_axes(adata):
    given_axes = plt.subplots()[1]
    prediction = pd.DataFrame({"probability": np.repeat([0.2, 0.7], 450)}, index=adata.obs_names)
    ax = pl.calibration(adata, prediction, ax=given_axes)
    assert ax is given_axes
    assert ax.containers[0][0].get_xdata() == pytest.approx([0.2, 0.7])


def test_diagram_names_bad_input(adata):
    with pytest.raises(ValueError, match="n_bins is 1; expected 2 or more"):
        pl.calibration(adata, adata.uns["prediction"], n_bins=1)
    with pytest.raises(ValueError, match="prediction has columns p; expected 'probability'"):
        pl.calibration(adata, adata.uns["prediction"].set_axis(["p"], axis=1))
    with pytest.raises(ValueError, match="no gene is in split 'train'"):
        pl.calibration(adata, adata.uns["prediction"], split="train")


def test_real_genes(e116):
    adata = e116.copy()
    pp.split_by_chromosome(adata)
    pp.normalize(adata)
    prediction = evaluation.LogisticRegression().fit(adata).predict(adata)[["probability"]]
    row = evaluation.evaluate(adata, prediction, splits="test", n_bootstrap=200).set_index("metric").loc["ECE"]
    assert 0.005 < row["value"] < 0.05
    ax = pl.calibration(adata, prediction)
    assert f"ECE {row['value']:.3f}" in [text.get_text() for text in ax.get_legend().get_texts()]

"""A trained model applied to other genes: without labels, with few, and with many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from builders import prepared
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import simplechrome_tk as sct
from simplechrome_tk.nn._adapt import adapt, logistic_regression
from simplechrome_tk.nn._loss import Targets
from simplechrome_tk.nn._predict import predict

if TYPE_CHECKING:
    from pathlib import Path

    import anndata as ad

QUICK = {"latent_epochs": 3, "expression_epochs": 6, "progress": False}


@pytest.fixture(scope="module")
def trained() -> sct.SimpleChrome:
    adata = prepared(2_000)
    model = sct.SimpleChrome(adata, n_latent=8, n_models=2, device="cpu")
    model.train(**QUICK)
    return model


@pytest.fixture
def other(trained: sct.SimpleChrome) -> ad.AnnData:
    """Other genes, of which 60 outside the test split have labels."""
    adata = sct.datasets.simulate(1_500, rng=1)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, reference=trained.normalization)
    adata.obs["truth"] = adata.obs["label"]
    outside = np.flatnonzero(adata.obs["split"] != "test")
    hidden = np.setdiff1d(np.arange(adata.n_obs), np.random.default_rng(0).choice(outside, 60, replace=False))
    adata.obs.loc[adata.obs_names[hidden], "label"] = None
    adata.obs.loc[adata.obs_names[hidden], "expression"] = np.nan
    return adata


def auroc(adata: ad.AnnData, prediction: pd.DataFrame) -> float:
    table = sct.evaluation.evaluate(
        adata, prediction[["probability"]], label_key="truth", splits=["test"], n_bootstrap=0
    )
    return float(table["value"].iloc[0])


def signal(adata: ad.AnnData) -> torch.Tensor:
    """Return inputs of a network: marks, and the length of a typical gene."""
    return torch.as_tensor(np.column_stack([adata.X, np.zeros(adata.n_obs, dtype=np.float32)]))


def test_a_few_labels_do_no_harm(trained: sct.SimpleChrome, other: ad.AnnData):
    prediction = trained.adapt(other).predict()
    assert auroc(other, prediction) > auroc(other, trained.predict(other)) - 0.01
    assert (prediction["log_expression_low"] < prediction["log_expression_high"]).all()


def test_an_adapted_model_leaves_the_first_and_the_latents_as_they_were(trained: sct.SimpleChrome, other: ad.AnnData):
    before = trained.predict()
    adapted = trained.adapt(other)
    pd.testing.assert_frame_equal(trained.predict(), before, check_exact=True)
    np.testing.assert_array_equal(adapted.get_latent_representation(), trained.get_latent_representation(other))


def test_labels_that_agree_with_the_network_change_nothing(trained: sct.SimpleChrome, other: ad.AnnData):
    net, x = trained.module.first, signal(other)
    output = predict(net, x)
    targets = Targets(torch.full((len(x),), torch.nan), output.log_expression)
    adapted = adapt(net, x, targets, genes=torch.arange(30), graph=None, seed=0)
    correction = adapted.net.correction
    torch.testing.assert_close(correction.scale, torch.ones(2))
    torch.testing.assert_close(correction.latent.weight, torch.zeros(2, 8))
    torch.testing.assert_close(adapted.held_out.log_expression[:30], output.log_expression[:30])


def test_a_second_correction_is_joined_to_the_first(trained: sct.SimpleChrome, other: ad.AnnData):
    net, x = trained.module.first, signal(other)
    output = predict(net, x)
    opposite = Targets((output.logit < 0).float(), -output.log_expression)
    first = adapt(net, x, opposite, genes=torch.arange(200), graph=None, seed=0).net
    changed = predict(first, x)
    assert torch.corrcoef(torch.stack([changed.log_expression, output.log_expression]))[0, 1] < -0.9
    same = Targets(torch.full((len(x),), torch.nan), changed.log_expression)
    second = predict(adapt(first, x, same, genes=torch.arange(200), graph=None, seed=0).net, x)
    torch.testing.assert_close(second.log_expression, changed.log_expression, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(second.logit, changed.logit)
    torch.testing.assert_close(predict(first, x).log_expression, changed.log_expression)


def test_random_labels_give_the_latents_no_weight(trained: sct.SimpleChrome, other: ad.AnnData):
    net, x = trained.module.first, signal(other)
    output = predict(net, x)
    learnt = []
    for draw in range(20):
        rng = np.random.default_rng(draw)
        label = rng.uniform(size=len(x)) < output.logit.sigmoid().numpy()
        expression = output.log_expression + torch.as_tensor(rng.normal(size=len(x)))
        targets = Targets(torch.as_tensor(label).float(), expression.float())
        genes = torch.as_tensor(rng.choice(len(x), 40, replace=False))
        adapted = adapt(net, x, targets, genes=genes, graph=None, seed=draw)
        learnt.append((adapted.net.correction.latent.weight != 0).any(dim=1).numpy())
    assert (np.mean(learnt, axis=0) <= 0.2).all(), "draws in which latents are given a weight, of label and expression"


def test_logistic_regression_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    features, label = rng.normal(size=(200, 5)), rng.integers(2, size=200)
    oracle = LogisticRegression(C=1, fit_intercept=False, tol=1e-8).fit(features, label).coef_[0]
    np.testing.assert_allclose(logistic_regression(features, label, np.zeros(200)), oracle, atol=1e-4)


def test_logistic_regression_beside_an_offset_is_at_the_peak_of_its_likelihood():
    rng = np.random.default_rng(0)
    features, label = rng.normal(size=(200, 5)), rng.integers(2, size=200)
    offset = features @ [1.0, -2.0, 0.0, 0.5, 0.0]
    beside = logistic_regression(features, label, offset)
    slope = features.T @ (expit(offset + features @ beside) - label) + beside
    np.testing.assert_allclose(slope, 0, atol=1e-4)


def test_the_calibration_is_kept_with_very_few_labels(trained: sct.SimpleChrome, other: ad.AnnData):
    few = other.obs["label"].notna() & (np.cumsum(other.obs["label"].notna()) <= 30)
    other.obs.loc[~few, "label"] = None
    other.obs.loc[~few, "expression"] = np.nan
    assert trained.adapt(other).predict().notna().all(axis=None), "every interval"


def test_labels_that_mean_the_opposite_are_learnt(trained: sct.SimpleChrome, other: ad.AnnData):
    other.obs["label"] = other.obs["label"].map({"low": "high", "high": "low"})
    other.obs["truth"] = other.obs["truth"].map({"low": "high", "high": "low"})
    assert auroc(other, trained.predict(other)) < 0.4
    assert auroc(other, trained.adapt(other).predict()) > 0.6


def test_many_labels_change_all_weights(trained: sct.SimpleChrome, other: ad.AnnData):
    other.obs["label"] = other.obs["truth"]
    before = [weights.clone() for weights in trained.module.parameters()]
    tuned = trained.fine_tune(other, epochs=3, progress=False)
    assert all(torch.equal(old, new) for old, new in zip(before, trained.module.parameters(), strict=True))
    assert not any(torch.equal(old, new) for old, new in zip(before, tuned.module.parameters(), strict=True))
    assert auroc(other, tuned.predict()) > auroc(other, trained.predict(other)) - 0.02
    assert tuned.history["phase"].unique().tolist() == ["expression"]


def test_labels_of_test_genes_are_never_learnt_from(trained: sct.SimpleChrome, other: ad.AnnData):
    first = trained.adapt(other).predict()
    test = other.obs["split"] == "test"
    other.obs.loc[test, "label"] = "high"
    other.obs.loc[test, "expression"] = 1e3
    pd.testing.assert_frame_equal(trained.adapt(other).predict(), first, check_exact=True)


def test_an_adapted_model_is_saved_whole(trained: sct.SimpleChrome, other: ad.AnnData, tmp_path: Path):
    adapted = trained.adapt(other)
    adapted.save(tmp_path / "model")
    loaded = sct.SimpleChrome.load(tmp_path / "model", other)
    pd.testing.assert_frame_equal(loaded.predict(), adapted.predict(), check_exact=True)


def test_an_adapted_model_can_be_adapted_again(trained: sct.SimpleChrome, other: ad.AnnData):
    adapted = trained.adapt(other)
    again = adapted.adapt(other)
    assert auroc(other, again.predict()) == pytest.approx(auroc(other, adapted.predict()), abs=0.03)


def test_labels_of_one_class_are_refused(trained: sct.SimpleChrome, other: ad.AnnData):
    some = np.flatnonzero(other.obs["label"].notna())
    other.obs.loc[other.obs_names[some], "label"] = "low"
    with pytest.raises(ValueError, match=r"60 low, 0 high"):
        trained.adapt(other)


def test_genes_without_any_label_are_refused(trained: sct.SimpleChrome, other: ad.AnnData):
    other.obs["label"] = pd.Series(None, index=other.obs_names, dtype=object)
    other.obs["expression"] = np.nan
    with pytest.raises(ValueError, match="0 genes outside the test split have a label"):
        trained.adapt(other)

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import simplechrome_tk as sct
from simplechrome_tk.tl.checks._control_networks import redrawn, retrained
from simplechrome_tk.tl.checks._deletion_curves import curves
from simplechrome_tk.tl.checks._planted_truth import slopes
from simplechrome_tk.tl.checks._sample import draw, rank_correlation

TRAINING = {"latent_epochs": 1, "expression_epochs": 2}


class Linear(torch.nn.Module):
    """A sum of columns times ``weight``."""

    def __init__(self, weight: np.ndarray) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.as_tensor(weight, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


@pytest.fixture(scope="module")
def simulated():
    adata = sct.datasets.simulate(300)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, 5)
    return adata


@pytest.fixture(scope="module")
def planted(simulated) -> Linear:
    """A model that says what was planted in the gene's own marks."""
    table = sct._require.blocks(simulated)
    scale = np.repeat(simulated.uns["normalize"]["scale"], table["stop"] - table["start"])
    return Linear(simulated.var["planted_effect"].to_numpy() * scale)


@pytest.fixture
def explained(simulated, planted):
    adata = simulated.copy()
    sct.tl.attribute(adata, planted, target="log_expression", n_steps=2, progress=False)
    return adata


@pytest.fixture(scope="module")
def model(simulated):
    adata = simulated.copy()
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, neighbors_key="tss")
    model.train(progress=False, **TRAINING)
    sct.tl.attribute(adata, model, genes=adata.obs_names[:80], n_steps=5, progress=False)
    return model


def sample_of(model, adata, n_genes=40):
    options = {"key": "attribution", "genes": None, "n_genes": n_genes, "target": None, "baseline": None}
    return draw(model, adata, **options, rng=np.random.default_rng(0))


def verdict(report, check, words=""):
    rows = report.verdicts[(report.verdicts["check"] == check) & report.verdicts["quantity"].str.contains(words)]
    return set(rows["verdict"])


def test_rank_correlation_against_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, (4, 30)), rng.integers(0, 6, (4, 30))
    counted = rng.random((4, 30)) < 0.7
    expected = [stats.spearmanr(x[m], y[m]).statistic for x, y, m in zip(a, b, counted, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b, counted=counted), expected)
    assert np.isnan(rank_correlation(np.ones((1, 5)), a[:1, :5])).all()
    assert np.isnan(rank_correlation(a[:1], b[:1], counted=np.zeros((1, 30), dtype=bool))).all()


def test_curves_of_a_linear_model_by_hand(explained, planted):
    sample = sample_of(planted, explained, n_genes=6)
    drawn = curves(sample, n_random=400, batch_size=4, rng=np.random.default_rng(0))
    fractions = np.linspace(0, 1, 21)
    zero = planted(torch.as_tensor(sample.start.marks)).item()
    for i, row in enumerate(sample.rows):
        effects = np.sort(sample.own[i][np.abs(explained.X[row] - sample.start.marks[0]) > 1e-5])[::-1].astype(float)
        cuts = [int(np.rint(fraction * len(effects))) for fraction in fractions]
        kept = np.append(0, np.cumsum(effects))
        deletion, insertion = zero + effects.sum() - kept[cuts], zero + kept[cuts]
        np.testing.assert_allclose(drawn.deletion[i], deletion, atol=1e-3)
        np.testing.assert_allclose(drawn.insertion[i], insertion, atol=1e-3)
        straight = zero + effects.sum() * (1 - np.array(cuts) / len(effects))
        np.testing.assert_allclose(drawn.random_deletion[i], straight, atol=0.15)
        area = np.trapezoid(straight - deletion, fractions)
        assert drawn.gain["deletion"][i] == pytest.approx(area, abs=0.05)
        assert drawn.gain["insertion"][i] == pytest.approx(area, abs=0.08), "of a linear model both are the same"


def test_curves_do_not_depend_on_the_batch(model):
    sample = sample_of(model, model.adata)
    one, other = (curves(sample, n_random=1, batch_size=size, rng=np.random.default_rng(0)) for size in (7, 40))
    np.testing.assert_allclose(one.deletion, other.deletion, atol=1e-5)
    np.testing.assert_allclose(one.insertion[:, -1], one.deletion[:, 0], atol=1e-5)
    probability = model.predict()["probability"].to_numpy()[sample.rows].astype(float)
    shift = one.deletion[:, 0] - model.output_units["logit"] * np.log(probability / (1 - probability))
    np.testing.assert_allclose(shift, shift[0], atol=1e-3)


def test_a_network_among_neighbours_keeps_them_while_bins_are_deleted(model):
    adata = model.adata
    sample = sample_of(model, adata, n_genes=16)
    drawn = curves(sample, n_random=1, batch_size=16, rng=np.random.default_rng(0))
    emptied = adata.copy()
    row = sample.rows[3]
    emptied.X[row] = sample.start.select(np.array([row]))[0]
    batch = sample.what._replace(x=model.read(emptied).x).gather(np.array([row]), sample.start)
    alone = sample.what.predict(batch, batch.x).item()
    assert drawn.deletion[3, -1] == pytest.approx(alone, abs=1e-4)


def test_slopes_of_a_linear_model_are_its_weights(explained, planted):
    sample = sample_of(planted, explained)
    there = (sample.moved != 0).any(axis=0)
    np.testing.assert_allclose(slopes(sample)[there], planted.weight.detach().numpy()[there], atol=1e-4)
    assert (slopes(sample)[~there] == 0).all()


def test_the_planted_model_recovers_what_was_planted(explained, planted):
    before = explained.copy()
    report = sct.tl.check_attributions(explained, planted, reseeded=planted)
    rows = report.verdicts.set_index("quantity")
    assert rows.loc["planted columns: share of right signs", "value"] > 0.95
    assert rows.loc["planted columns: AUROC of mean |effect|", "value"] > 0.99
    for check in ("completeness", "weights", "seeds", "methods", "deletion", "insertion"):
        assert verdict(report, check) == {"passed"}, check
    assert verdict(report, "planted truth", "pairs") == {"not tested"}
    assert verdict(report, "labels") == {"not tested"}
    assert "permuted=" in rows.loc[rows["check"] == "labels", "reason"].iloc[0]
    assert report.failed == []
    np.testing.assert_array_equal(before.layers["attribution"], explained.layers["attribution"])
    pd.testing.assert_frame_equal(before.obs, explained.obs)


def test_unmeasured_genes_leave_the_regression_to_the_others(explained, planted):
    quantity = "planted columns: AUROC of mean |effect|"
    explained.obs.loc[explained.obs_names[::3], "expression"] = np.nan
    report = sct.tl.check_attributions(explained, planted, reseeded=planted, n_genes=10)
    row = report.verdicts.set_index("quantity").loc[quantity]
    assert row["value"] > 0.99
    assert "on the signal of measured genes reaches 0." in row["reason"]
    explained.obs["expression"] = np.nan
    report = sct.tl.check_attributions(explained, planted, reseeded=planted, n_genes=10)
    assert report.verdicts.set_index("quantity").loc[quantity, "reason"] == "the truth is known"


def test_a_model_that_ignores_its_input_passes_nothing(simulated):
    nothing = Linear(np.zeros(simulated.n_vars))
    adata = simulated.copy()
    sct.tl.attribute(adata, nothing, n_steps=2, progress=False)
    report = sct.tl.check_attributions(adata, nothing, permuted=nothing, reseeded=nothing)
    for check in ("weights", "seeds", "methods", "deletion", "insertion", "labels"):
        assert "passed" not in verdict(report, check), check
    assert not set(verdict(report, "planted truth")) & {"passed"}


def test_random_attributions_fail(explained, planted):
    own = explained.layers["attribution"]
    explained.layers["attribution"] = np.random.default_rng(0).permuted(own, axis=1)
    report = sct.tl.check_attributions(explained, planted, n_genes=100)
    assert verdict(report, "deletion") | verdict(report, "insertion") == {"not passed"}
    assert verdict(report, "planted truth", "AUROC") >= {"not passed"}
    assert "not passed" in verdict(report, "methods")


def test_weights_are_drawn_anew_and_the_model_stays(model):
    nets = model.module.networks
    before = {name: value.clone() for name, value in nets[0].state_dict().items()}
    other = redrawn(nets, 0)[0]
    for name, weights in other.named_parameters():
        own = before[name]
        if own.numel() > 50 and own.any():
            assert abs(torch.corrcoef(torch.stack([own.flatten(), weights.detach().flatten()]))[0, 1]) < 0.5
            assert weights.square().mean().sqrt().item() == pytest.approx(own.square().mean().sqrt().item(), rel=0.5)
    assert all(torch.equal(before[name], value) for name, value in nets[0].state_dict().items())


def test_retraining_copies_settings_permutes_within_splits_and_leaves_the_caller_alone(model, simulated):
    adata = simulated.copy()
    other = retrained(model, adata, permuted=True, seed=3, training=TRAINING)
    assert other.settings == model.settings.__class__(**{**model.settings.__dict__, "rng": 3})
    pd.testing.assert_frame_equal(adata.obs, simulated.obs)
    changed = other.adata.obs
    for split in ("train", "valid", "test"):
        rows = (adata.obs["split"] == split).to_numpy()
        own, permuted = adata.obs.loc[rows, "expression"], changed.loc[rows, "expression"]
        assert sorted(own) == sorted(permuted)
        assert (own.to_numpy() == permuted.to_numpy()).all() == (split == "test")
    same = adata.obs["expression"].groupby(adata.obs["label"], observed=True).agg(["min", "max"])
    pd.testing.assert_frame_equal(
        changed["expression"].groupby(changed["label"], observed=True).agg(["min", "max"]), same
    )


def test_retrain_fills_in_what_else_is_not_tested(model):
    state = torch.get_rng_state()
    without = sct.tl.check_attributions(model.adata, model, n_genes=32, n_random=1)
    trained = sct.tl.check_attributions(model.adata, model, n_genes=32, n_random=1, retrain=True, training=TRAINING)
    assert torch.equal(torch.get_rng_state(), state)
    for check in ("labels", "seeds"):
        assert verdict(without, check) == {"not tested"}
        assert "not tested" not in verdict(trained, check)
    assert list(without.verdicts) == list(trained.verdicts)
    assert list(without.genes) == list(trained.genes)
    axes = sct.pl.check_attributions(trained)
    assert len(axes) == 4
    assert len(axes[2].lines) == 2


def test_members_of_an_ensemble_are_compared(simulated):
    adata = simulated.copy()
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, n_models=2)
    model.train(progress=False, **TRAINING)
    sct.tl.attribute(adata, model, genes=adata.obs_names[:30], n_steps=5, progress=False)
    report = sct.tl.check_attributions(adata, model)
    assert "not tested" not in verdict(report, "seeds")
    sample = sample_of(model, adata)
    one, other = (sample.again(sample.with_networks([net]), batch_size=8)[0] for net in model.module.networks)
    single = report.genes[report.genes["quantity"].str.startswith("bins") & (report.genes["check"] == "seeds")]
    expected = rank_correlation(one, other, counted=sample.moved != 0)
    np.testing.assert_allclose(
        single.set_index("gene")["value"].sort_index(), pd.Series(expected, sample.names).sort_index(), atol=1e-5
    )


def test_bad_input(simulated, explained, planted, model):
    with pytest.raises(ValueError, match=r"run sct.tl.attribute\(model, adata, key_added='other'\) first"):
        sct.tl.check_attributions(explained, planted, key="other")
    with pytest.raises(ValueError, match="did you mean"):
        sct.tl.check_attributions(explained, planted, genes=["SIM000x"])
    with pytest.raises(ValueError, match="n_genes is 0; expected at least 1"):
        sct.tl.check_attributions(explained, planted, n_genes=0)
    with pytest.raises(ValueError, match="not of this model and these data"):
        sct.tl.check_attributions(explained, Linear(np.ones(explained.n_vars)))
    with pytest.raises(ValueError, match="none of the 1 genes asked for has attributions"):
        sct.tl.check_attributions(model.adata, model, genes=model.adata.obs_names[200])
    untrained = sct.SimpleChrome(simulated, n_latent=4)
    with pytest.raises(RuntimeError, match=r"run model.train\(\) first"):
        sct.tl.check_attributions(explained, untrained)
    sct.tl.attribute(explained, planted, baseline=np.zeros(explained.n_vars), n_steps=2, progress=False)
    with pytest.raises(ValueError, match="give it again with baseline"):
        sct.tl.check_attributions(explained, planted)
    report = sct.tl.check_attributions(explained, planted, baseline=np.zeros(explained.n_vars), n_genes=20)
    assert verdict(report, "completeness") == {"passed"}
    with pytest.raises(TypeError, match=r"expected what sct\.tl\.check_attributions"):
        sct.pl.check_attributions(report.verdicts)


def test_groups_by_hand_and_ablation_leave_checks_untested(simulated, planted):
    adata = simulated.copy()
    groups = np.arange(adata.n_vars) // 20
    sct.tl.attribute(adata, planted, method="feature_ablation", by=groups, progress=False)
    report = sct.tl.check_attributions(adata, planted, n_genes=20)
    for check in ("completeness", "weights", "labels", "seeds"):
        assert verdict(report, check) == {"not tested"}, check
    assert verdict(report, "deletion") == {"passed"}


def test_latents_of_other_networks_are_not_compared(model):
    adata = model.adata.copy()
    sct.tl.attribute(adata, model, genes=adata.obs_names[:20], target="latent:1", n_steps=5, progress=False)
    report = sct.tl.check_attributions(adata, model, n_random=1, reseeded=model, permuted=model)
    for check in ("labels", "seeds"):
        assert verdict(report, check) == {"not tested"}
    reasons = report.verdicts.set_index("check")["reason"]
    assert "coordinates of their own" in reasons["seeds"]
    assert "not tested" not in verdict(report, "weights")


def test_a_model_to_compare_with_must_have_the_same_neighbors(simulated, model):
    alone = sct.SimpleChrome(simulated.copy(), n_latent=4, n_hidden=16)
    alone.train(progress=False, **TRAINING)
    with pytest.raises(ValueError, match=r"has neighbors_key=None; expected 'tss'"):
        sct.tl.check_attributions(model.adata, model, permuted=alone, n_random=1)

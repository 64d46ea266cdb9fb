"""Checks of attributions: which pass for a model that is right, and which fail for one that is not."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from builders import assert_same_table, prepared, trained
from linear_model import Linear, true_model
from scipy import stats

import simplechrome_tk as sct
from simplechrome_tk.tl.checks._control_networks import randomize_weights, train_control
from simplechrome_tk.tl.checks._deletion_curves import compute_curves
from simplechrome_tk.tl.checks._sample import draw_sample, rank_correlation
from simplechrome_tk.tl.checks._simulated_truth import fit_slopes
from simplechrome_tk.tl.checks._verdicts import Expected, Verdict

TRAINING = {"latent_epochs": 1, "expression_epochs": 2}
COLUMNS = "columns with a simulated effect: AUROC of mean |effect|"


@pytest.fixture
def explained(adata, true):
    """The genes, with attributions of the true model."""
    sct.tl.attribute(adata, true, target="log_expression", n_steps=2, progress=False)
    return adata


@functools.cache
def _among():
    adata, model = trained(300, n_neighbors=5, n_hidden=16)
    sct.tl.attribute(adata, model, genes=adata.obs_names[:80], n_steps=5, progress=False)
    return adata, model


@pytest.fixture
def among():
    """Genes of which 80 have attributions, and the model with neighbours that these are of."""
    adata, model = _among()
    return adata.copy(), model


def check(adata, model, **kwargs):
    return sct.tl.check_attributions(adata, model, copy=True, **kwargs).uns["check_attributions"]


def verdicts(result, check, words=""):
    table = result["verdicts"]
    return set(table.loc[(table["check"] == check) & table["quantity"].str.contains(words), "verdict"])


def row(result, quantity):
    return result["verdicts"].set_index("quantity").loc[quantity]


def draw(model, adata, n_genes=40, batch_size=40):
    options = {"key": "attribution", "genes": None, "target": None, "baseline": None}
    rng = np.random.default_rng(0)
    return draw_sample(model, adata, n_genes=n_genes, batch_size=batch_size, rng=rng, **options)


def compute(sample, n_random=1):
    return compute_curves(sample, n_random=n_random, rng=np.random.default_rng(0))


# figures


@pytest.fixture
def ranked():
    rng = np.random.default_rng(0)
    return rng.integers(0, 6, (4, 30)), rng.integers(0, 6, (4, 30)), rng.random((4, 30)) < 0.7


def test_rank_correlation_is_that_of_scipy(ranked):
    a, b, where = ranked
    expected = [stats.spearmanr(x[m], y[m]).statistic for x, y, m in zip(a, b, where, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b, where=where), expected)


@pytest.mark.parametrize("why", ["all are equal", "none counts"])
def test_rank_correlation_is_missing_where_it_is_undefined(ranked, why):
    a, b, where = ranked
    a, where = (np.ones_like(a), where) if why == "all are equal" else (a, np.zeros_like(where))
    assert np.isnan(rank_correlation(a, b, where=where)).all()


@pytest.mark.parametrize(
    ("expected", "value", "interval", "verdict"),
    [
        (Expected(">", 0.5), 0.6, (np.nan, np.nan), "passed"),
        (Expected("<", 0.5), 0.6, (np.nan, np.nan), "not passed"),
        (Expected(">", 0.5), 0.6, (0.4, 0.8), "not passed"),
        (Expected("<", 0.5), 0.3, (0.1, 0.6), "not passed"),
        (Expected(">", 0.5), np.nan, (np.nan, np.nan), "not passed"),
        (None, np.nan, (np.nan, np.nan), "not tested"),
    ],
)
def test_a_figure_is_judged_by_the_worse_end_of_its_interval(expected, value, interval, verdict):
    assert Verdict("check", "quantity", "reason", value, expected, interval=interval).verdict == verdict


def test_curves_of_a_linear_model_are_those_by_hand(explained, true):
    sample = draw(true, explained, n_genes=6, batch_size=4)
    curves = compute(sample, n_random=400)
    fractions = np.linspace(0, 1, 21)
    zero = true(torch.as_tensor(sample.baselines.marks)).item()
    for i in range(6):
        effects = np.sort(sample.own[i][sample.difference[i] != 0])[::-1].astype(float)
        cuts = np.rint(fractions * len(effects)).astype(int)
        kept = np.append(0, np.cumsum(effects))
        deletion, insertion = zero + effects.sum() - kept[cuts], zero + kept[cuts]
        np.testing.assert_allclose(curves.deletion[i], deletion, atol=1e-3)
        np.testing.assert_allclose(curves.insertion[i], insertion, atol=1e-3)
        straight = zero + effects.sum() * (1 - cuts / len(effects))
        np.testing.assert_allclose(curves.random_deletion[i], straight, atol=0.15)
        area = np.trapezoid(straight - deletion, fractions)
        assert curves.gain["deletion"][i] == pytest.approx(area, abs=0.05)
        assert curves.gain["insertion"][i] == pytest.approx(area, abs=0.08), "both are the same for a linear model"


def test_curves_do_not_depend_on_the_batch(among):
    adata, model = among
    one, other = (compute(draw(model, adata, batch_size=size)) for size in (7, 40))
    np.testing.assert_allclose(one.deletion, other.deletion, atol=1e-5)
    np.testing.assert_allclose(one.insertion[:, -1], one.deletion[:, 0], atol=1e-5)


def test_curves_begin_at_the_prediction(among):
    adata, model = among
    sample = draw(model, adata)
    probability = model.predict(adata)["probability"].to_numpy()[sample.rows].astype(float)
    log_odds = np.log(probability / (1 - probability))
    offset = compute(sample).deletion[:, 0] - model.output_units["logit"] * log_odds
    np.testing.assert_allclose(offset, offset[0], atol=1e-3)


def test_neighbours_stay_while_bins_are_deleted(among):
    adata, model = among
    sample = draw(model, adata, n_genes=16)
    curves = compute(sample)
    one = sample.rows[3:4]
    adata.X[one] = sample.baselines.select(one)
    batch = sample.explained._replace(x=model.read(adata).x).gather(one, sample.baselines)
    assert curves.deletion[3, -1] == pytest.approx(sample.explained.predict(batch, batch.x).item(), abs=1e-4)


def test_slopes_of_a_linear_model_are_its_weights(explained, true):
    sample = draw(true, explained)
    differs = (sample.difference != 0).any(axis=0)
    slopes, weight = fit_slopes(sample), true.weight.detach().numpy()
    np.testing.assert_allclose(slopes[differs], weight[differs], atol=1e-4)
    assert (slopes[~differs] == 0).all()


# the right model, and wrong ones


@functools.cache
def _result_of_the_true_model():
    adata = prepared(300, n_neighbors=5)
    true = true_model(adata)
    sct.tl.attribute(adata, true, target="log_expression", n_steps=2, progress=False)
    return check(adata, true, reseeded=true)


@functools.cache
def _result_of_no_model():
    adata = prepared(300, n_neighbors=5)
    nothing = Linear(np.zeros(adata.n_vars))
    sct.tl.attribute(adata, nothing, n_steps=2, progress=False)
    return check(adata, nothing, permuted=nothing, reseeded=nothing)


@pytest.fixture
def result():
    """Checks of the true model, made once."""
    return _result_of_the_true_model()


@pytest.mark.parametrize("name", ["completeness", "weights", "seeds", "methods", "deletion", "insertion"])
def test_the_true_model_passes(result, name):
    assert verdicts(result, name) == {"passed"}


def test_the_true_model_has_the_simulated_effects(result):
    assert row(result, "columns with a simulated effect: share of right signs")["value"] > 0.95
    assert row(result, COLUMNS)["value"] > 0.99


@pytest.mark.parametrize(
    ("name", "words", "reason"), [("simulated truth", "pairs", "neighbours"), ("labels", "", "permuted=")]
)
def test_what_cannot_be_tested_says_why(result, name, words, reason):
    assert verdicts(result, name, words) == {"not tested"}
    table = result["verdicts"]
    assert reason in table.loc[(table["check"] == name) & table["quantity"].str.contains(words), "reason"].iloc[0]


@pytest.mark.parametrize("name", ["weights", "seeds", "methods", "deletion", "insertion", "labels", "simulated truth"])
def test_a_model_that_ignores_its_input_passes_nothing(name):
    assert "passed" not in verdicts(_result_of_no_model(), name)


def test_random_attributions_fail(explained, true):
    own = explained.layers["attribution"]
    explained.layers["attribution"] = np.random.default_rng(0).permuted(own, axis=1)
    result = check(explained, true, n_genes=100)
    assert verdicts(result, "deletion") | verdicts(result, "insertion") == {"not passed"}
    assert "not passed" in verdicts(result, "simulated truth", "AUROC")
    assert "not passed" in verdicts(result, "methods")


@pytest.mark.parametrize(
    ("unmeasured", "reason"), [(3, "on the signal of measured genes reaches 0."), (1, "the truth is known")]
)
def test_unmeasured_genes_leave_the_regression_to_the_others(explained, true, unmeasured, reason):
    explained.obs.loc[explained.obs_names[::unmeasured], "expression"] = np.nan
    found = row(check(explained, true, reseeded=true, n_genes=10), COLUMNS)
    assert found["value"] > 0.99
    assert reason in found["reason"]


# control networks


def test_weights_are_replaced_and_the_model_stays(among):
    nets = among[1].module.networks
    before = {name: value.clone() for name, value in nets[0].state_dict().items()}
    other = randomize_weights(nets, 0)[0]
    for name, weights in other.named_parameters():
        own = before[name]
        if own.numel() > 50 and own.any():
            assert abs(torch.corrcoef(torch.stack([own.flatten(), weights.detach().flatten()]))[0, 1]) < 0.5
            assert weights.square().mean().sqrt().item() == pytest.approx(own.square().mean().sqrt().item(), rel=0.5)
    assert all(torch.equal(before[name], value) for name, value in nets[0].state_dict().items())


def test_a_control_has_the_same_settings_and_permutes_within_splits(among):
    adata, model = among
    before = adata.obs.copy()
    other = train_control(model, adata, permute=True, seed=3, training=TRAINING)
    assert other.settings == model.settings.__class__(**{**model.settings.__dict__, "rng": 3})
    pd.testing.assert_frame_equal(adata.obs, before)
    for split in ("train", "valid", "test"):
        rows = (before["split"] == split).to_numpy()
        own, permuted = before.loc[rows, "expression"], other.adata.obs.loc[rows, "expression"]
        assert sorted(own) == sorted(permuted)
        assert (own.to_numpy() == permuted.to_numpy()).all() == (split == "test")


def test_label_and_expression_are_permuted_together(among):
    adata, model = among
    changed = train_control(model, adata, permute=True, seed=3, training=TRAINING).adata.obs
    of_labels = [
        obs["expression"].groupby(obs["label"], observed=True).agg(["min", "max"]) for obs in (adata.obs, changed)
    ]
    pd.testing.assert_frame_equal(*of_labels)


def test_training_again_makes_the_checks_that_need_it(among):
    adata, model = among
    state = torch.get_rng_state()
    without = check(adata, model, n_genes=32, n_random=1)
    with_training = check(adata, model, n_genes=32, n_random=1, retrain=True, training=TRAINING)
    assert torch.equal(torch.get_rng_state(), state)
    for name in ("labels", "seeds"):
        assert verdicts(without, name) == {"not tested"}
        assert "not tested" not in verdicts(with_training, name)


def test_members_of_an_ensemble_are_compared():
    adata, model = trained(300, n_hidden=16, n_models=2)
    sct.tl.attribute(adata, model, genes=adata.obs_names[:30], n_steps=5, progress=False)
    result = check(adata, model)
    assert "not tested" not in verdicts(result, "seeds")
    sample = draw(model, adata, batch_size=8)
    effects = [sample.attribute_with([net]) for net in model.module.networks]
    expected = pd.Series(rank_correlation(*effects, where=sample.difference != 0), sample.names).sort_index()
    genes = result["genes"]
    found = genes[genes["quantity"].str.startswith("bins") & (genes["check"] == "seeds")].set_index("gene")["value"]
    np.testing.assert_allclose(found.sort_index(), expected, atol=1e-4)


# results


def test_nothing_but_the_result_is_written(explained, true, state):
    before = state(explained)
    assert sct.tl.check_attributions(explained, true, n_genes=10) is None
    assert set(explained.uns.pop("check_attributions")) == {"verdicts", "genes", "curves", "unit"}
    assert state(explained) == before


def test_the_result_survives_a_file_and_is_drawn(explained, true, round_trip):
    sct.tl.check_attributions(explained, true, n_genes=10, key_added="trust")
    stored = explained.uns["trust"]
    again = round_trip(explained)
    for name in ("verdicts", "genes", "curves"):
        assert_same_table(again.uns["trust"][name], stored[name])
    assert again.uns["trust"]["unit"] == stored["unit"]
    axes = sct.pl.check_attributions(again, key="trust")
    assert len(axes) == 4
    assert len(axes[2].lines) == 2


@pytest.mark.parametrize("held", [None, {"verdicts": 1}])
def test_a_missing_result_is_not_drawn(explained, held):
    if held is not None:
        explained.uns["check_attributions"] = held
    with pytest.raises(ValueError, match=r"sct\.tl\.check_attributions\(adata, model\)"):
        sct.pl.check_attributions(explained)


# invalid input, and what is not tested


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "other"}, r"sct\.tl\.attribute\(adata, model, key_added='other'\)"),
        ({"genes": ["SIM000x"]}, "did you mean"),
        ({"n_genes": 0}, "n_genes is 0"),
        ({"n_random": 0}, "n_random is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"key_added": "windows"}, "key_added is 'windows'"),
    ],
)
def test_invalid_arguments(explained, true, options, message):
    with pytest.raises(ValueError, match=message):
        check(explained, true, **options)


def test_attributions_of_another_model_are_refused(explained):
    with pytest.raises(ValueError, match="not of this model and these data"):
        check(explained, Linear(np.ones(explained.n_vars)))


def test_genes_without_attributions_are_refused(among):
    adata, model = among
    with pytest.raises(ValueError, match="none of the 1 genes has attributions"):
        check(adata, model, genes=adata.obs_names[200])


def test_a_model_that_is_not_trained_is_refused(explained):
    with pytest.raises(RuntimeError, match=r"model\.train\(\)"):
        check(explained, sct.SimpleChrome(explained, n_latent=4))


def test_a_baseline_that_was_an_array_is_given_again(explained, true):
    zero = np.zeros(explained.n_vars)
    sct.tl.attribute(explained, true, baseline=zero, n_steps=2, progress=False)
    with pytest.raises(ValueError, match="baseline"):
        check(explained, true)
    assert verdicts(check(explained, true, baseline=zero, n_genes=20), "completeness") == {"passed"}


def test_groups_by_hand_and_ablation_leave_checks_untested(adata, true):
    groups = np.arange(adata.n_vars) // 20
    sct.tl.attribute(adata, true, method="feature_ablation", by=groups, progress=False)
    result = check(adata, true, n_genes=20)
    for name in ("completeness", "weights", "labels", "seeds"):
        assert verdicts(result, name) == {"not tested"}, name
    assert verdicts(result, "deletion") == {"passed"}


def test_latents_of_other_networks_are_not_compared(among):
    adata, model = among
    sct.tl.attribute(adata, model, genes=adata.obs_names[:20], target="latent:1", n_steps=5, progress=False)
    result = check(adata, model, n_random=1, reseeded=model, permuted=model)
    for name in ("labels", "seeds"):
        assert verdicts(result, name) == {"not tested"}
    assert "coordinates of their own" in result["verdicts"].set_index("check").loc["seeds", "reason"]
    assert "not tested" not in verdicts(result, "weights")


def test_a_model_to_compare_with_must_have_the_same_neighbours(among):
    adata, model = among
    with pytest.raises(ValueError, match="neighbors_key=None; expected 'tss'"):
        check(adata, model, permuted=trained(300, n_hidden=16)[1], n_random=1)

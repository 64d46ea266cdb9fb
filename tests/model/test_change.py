"""Models that have learnt changes between conditions, and predictions from a reference condition."""

from __future__ import annotations

import copy
import dataclasses
import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import BRIEF, conditions, contrasted, prepared, trained

import simplechrome_tk as sct
from simplechrome_tk.core.expression import log_expression
from simplechrome_tk.model._change import describe_networks

if TYPE_CHECKING:
    import anndata as ad


def of_condition(adata: ad.AnnData, name: str) -> ad.AnnData:
    return adata[adata.obs["condition"] == name].copy()


def with_readout(model: sct.SimpleChrome, **changes: object) -> sct.SimpleChrome:
    """Return a copy of a model whose calibration of changes differs in these fields."""
    changed = copy.copy(model)
    readout = dataclasses.replace(model.change_readout, **changes)
    changed._state = dataclasses.replace(model._state, change_readout=readout)
    return changed


@pytest.mark.parametrize("n_models", [1, 2])
@pytest.mark.parametrize("in_context", [False, True])
def test_predictions_of_single_conditions_are_the_same_bits(n_models: int, in_context: bool):
    adata = conditions()
    neighbors_key = "tss" if in_context else None
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, neighbors_key=neighbors_key, n_models=n_models)
    model.train(context_epochs=1, **BRIEF)
    before, weights = model.predict(), copy.deepcopy(model.module.state_dict())
    with_contrast = model.add_contrast(key="condition", epochs=1, progress=False)
    pd.testing.assert_frame_equal(with_contrast.predict(), before, check_exact=True)
    for name, weight in model.module.state_dict().items():
        assert weight.equal(weights[name]), "the first model stays as it was"
        assert weight.equal(with_contrast.module.state_dict()[name])
    assert model.change_readout is None
    assert set(with_contrast.history["phase"]) == {*model.history["phase"], "contrast"}
    assert with_contrast.history.groupby("model")["best"].sum().eq(1).all()


def test_a_second_contrast_replaces_the_first():
    adata, model = contrasted()
    again = model.add_contrast(adata, key="condition", epochs=3, progress=False)
    assert (again.history["phase"] == "contrast").sum() == 3
    once = sct.SimpleChrome._from_state(*_plain(model), adata, model.device)
    once = once.add_contrast(adata, key="condition", epochs=3, progress=False)
    assert again.change_readout == once.change_readout


def _plain(model: sct.SimpleChrome) -> tuple:
    from simplechrome_tk.model._derive import Parts, without_contrast

    return without_contrast(Parts(model._state, model.module))


def test_replicates_are_learnt_from():
    _, model = contrasted(n_replicates=2)
    assert model.change_readout is not None
    assert len(model.change_readout.errors) > 0


def test_the_paper_preset_learns_changes():
    adata = conditions(method="paper")
    adata = adata[:, adata.var["region"] == "tss"].copy()
    model = sct.SimpleChrome(adata, preset="paper", device="cpu")
    model.train(**BRIEF)
    with_contrast = model.add_contrast(key="condition", epochs=1, progress=False)
    assert with_contrast.change_readout is not None


@pytest.mark.parametrize("in_context", [False, True])
def test_changes_exchange_exactly_and_are_zero_between_equal_marks(in_context: bool):
    adata, model = contrasted(in_context=in_context)
    described = [describe_networks(model.module, model.read(of_condition(adata, name))) for name in "AB"]
    one, other = model.predict_change(*described), model.predict_change(*described[::-1])
    assert (one.change != 0).all()
    np.testing.assert_array_equal(one.change, -other.change)
    assert (
        model.predict_change(described[0], describe_networks(model.module, model.read(of_condition(adata, "A")))).change
        == 0
    ).all()


def test_the_expression_in_one_condition_is_that_of_the_reference_plus_the_change():
    adata, model = contrasted()
    here, there = of_condition(adata, "B"), of_condition(adata, "A")
    model = with_readout(model, persistence=1.0)
    sct.tl.contrast(adata, model, of="B", against="A", key="condition", n_explained=0, progress=False)
    change = adata.obs.loc[here.obs_names, "contrast_change"]
    measured = log_expression(there.obs["expression"].to_numpy())
    found = model.predict(here, reference=there[::-1].copy())
    np.testing.assert_allclose(found["log_expression"], measured + change, atol=1e-5)
    plain = model.predict(here)
    assert found.columns.equals(plain.columns)
    # Without persistence what was measured in the reference has no effect.
    found = with_readout(model, persistence=0.0).predict(here, reference=there)
    np.testing.assert_allclose(
        found["log_expression"], model.predict(there)["log_expression"].to_numpy() + change, atol=1e-5
    )


def test_genes_without_a_reference_are_counted_and_predicted_without_it(caplog: pytest.LogCaptureFixture):
    adata, model = contrasted()
    here, there = of_condition(adata, "B"), of_condition(adata, "A")
    there.obs.iloc[:5, there.obs.columns.get_loc("expression")] = np.nan
    with caplog.at_level(logging.WARNING):
        found = model.predict(here, reference=there[:-3].copy())
    assert "8 of 400 genes have no expression in the reference" in caplog.text
    unknown = np.r_[:5, 397:400]
    plain = model.predict(here)
    np.testing.assert_array_equal(found.iloc[unknown], plain.iloc[unknown])
    assert (found["log_expression"] != plain["log_expression"]).sum() == 392


def test_intervals_that_are_unknown_are_not_those_without_the_reference():
    adata, model = contrasted()
    here, there = of_condition(adata, "B"), of_condition(adata, "A")
    plain = dataclasses.replace(model.change_readout.readout, probability=None, expression=None)
    found = with_readout(model, readout=plain).predict(here, reference=there)
    assert model.predict(here).notna().all(axis=None)
    assert found[["log_expression_low", "probability_high"]].isna().all(axis=None)


def test_genes_of_several_rows_are_each_predicted_from_the_reference():
    adata, model = contrasted()
    found = model.predict(adata, reference=of_condition(adata, "A"))
    np.testing.assert_allclose(
        found.loc[of_condition(adata, "B").obs_names],
        model.predict(of_condition(adata, "B"), reference=of_condition(adata, "A")),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda adata: adata, "the reference holds genes several times"),
        (lambda adata: adata[:0].copy(), "0 genes"),
        (lambda adata: _assign(adata[:50].copy(), expression=np.nan), "no measured expression"),
        (lambda adata: _drop(adata[:50].copy(), "expression"), "obs has no column 'expression'"),
        (lambda adata: _apart(adata), "normalis"),
    ],
)
def test_references_that_do_not_fit_are_refused(change, message: str):
    adata, model = contrasted()
    with pytest.raises(ValueError, match=message):
        model.predict(of_condition(adata, "B"), reference=change(adata))


def _assign(adata: ad.AnnData, **columns: object) -> ad.AnnData:
    adata.obs = adata.obs.assign(**columns)
    return adata


def _drop(adata: ad.AnnData, column: str) -> ad.AnnData:
    del adata.obs[column]
    return adata


def _apart(adata: ad.AnnData) -> ad.AnnData:
    """The reference condition, normalised with constants of its own."""
    apart = of_condition(adata, "A")
    apart.X = apart.layers.pop("signal") * 2
    del apart.uns["normalize"]
    sct.pp.normalize(apart)
    return apart


def test_a_model_without_changes_has_no_reference():
    adata, model = trained()
    with pytest.raises(ValueError, match="add_contrast"):
        model.predict(adata, reference=adata)


@pytest.mark.parametrize(
    ("settings", "message"), [({"task": "classification"}, "predicts no expression"), ({}, "1 condition")]
)
def test_models_and_data_without_changes_are_refused(settings: dict, message: str):
    adata, model = trained(**settings)
    adata.obs["condition"] = "A"
    with pytest.raises(ValueError, match=message):
        model.add_contrast(adata, key="condition")


def test_an_adapted_model_learns_no_changes():
    adata, model = contrasted()
    adapted = sct.SimpleChrome._from_state(*_plain(model), adata, model.device).adapt(adata)
    with pytest.raises(ValueError, match="adapted"):
        adapted.add_contrast(adata, key="condition")


def test_an_untrained_model_learns_no_changes():
    with pytest.raises(RuntimeError, match="train"):
        sct.SimpleChrome(prepared(), n_latent=4).add_contrast()


@pytest.mark.parametrize("how", ["train", "fine_tune", "add_context", "adapt"])
def test_other_latents_drop_the_contrast_with_a_warning(how: str, caplog: pytest.LogCaptureFixture):
    adata, shared = contrasted()
    model = sct.SimpleChrome._from_state(shared._state, copy.deepcopy(shared.module), adata, shared.device)
    with caplog.at_level(logging.WARNING):
        if how == "train":
            model.train(**BRIEF)
            new = model
        elif how == "fine_tune":
            new = model.fine_tune(adata, epochs=1, progress=False)
        elif how == "add_context":
            new = model.add_context(adata, neighbors_key="tss", epochs=1, progress=False)
        else:
            new = model.adapt(adata)
    assert "is dropped: run model.add_contrast" in caplog.text
    assert new.change_readout is None
    assert not new.settings.contrasts
    assert all(net.contrast is None for net in new.module.networks)
    assert "contrast" not in set(new.history["phase"])
    with pytest.raises(ValueError, match="add_contrast"):
        new.predict(adata, reference=of_condition(adata, "A"))


@pytest.mark.parametrize("in_context", [False, True])
def test_a_saved_model_predicts_the_same_bits(in_context: bool, tmp_path):
    adata, model = contrasted(in_context=in_context)
    here, there = of_condition(adata, "B"), of_condition(adata, "A")
    model.save(tmp_path / "model")
    loaded = sct.SimpleChrome.load(tmp_path / "model", device="cpu")
    assert loaded.change_readout == model.change_readout
    expected = model.predict(here, reference=there)
    pd.testing.assert_frame_equal(loaded.predict(here, reference=there), expected, check_exact=True)
    assert loaded.history.equals(model.history)

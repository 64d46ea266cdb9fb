"""The SimpleChrome class: seeds, saving, labels that it must not read, and inputs that it must refuse."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from builders import prepared, trained

import simplechrome_tk as sct

if TYPE_CHECKING:
    from pathlib import Path

    import anndata as ad

QUICK = {"latent_epochs": 2, "expression_epochs": 4, "progress": False}


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    return prepared(1_500, n_neighbors=5)


@pytest.fixture(scope="module")
def model(simulated: ad.AnnData) -> sct.SimpleChrome:
    """A model with neighbours, on CPU, where bits repeat."""
    model = sct.SimpleChrome(simulated, n_latent=8, neighbors_key="tss", device="cpu")
    model.train(**QUICK)
    return model


def score(table: pd.DataFrame, metric: str, split: str = "test") -> float:
    return float(table.query("metric == @metric and split == @split")["value"].iloc[0])


def test_the_same_seed_gives_the_same_bits(simulated: ad.AnnData, model: sct.SimpleChrome):
    again = sct.SimpleChrome(simulated, n_latent=8, neighbors_key="tss", device="cpu")
    again.train(**QUICK)
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_exact=True)
    pd.testing.assert_frame_equal(again.history, model.history, check_exact=True)


def test_another_seed_gives_another_model():
    adata, model = trained()
    other = sct.SimpleChrome(adata, n_latent=4, rng=1, device="cpu")
    other.train(latent_epochs=1, expression_epochs=1, progress=False)
    assert not np.allclose(other.predict()["probability"], model.predict()["probability"])


def test_the_random_state_of_the_caller_is_left_as_it_was():
    adata = prepared()
    torch.manual_seed(123)
    before = torch.get_rng_state()
    model = sct.SimpleChrome(adata, n_latent=4, device="cpu")
    model.train(latent_epochs=1, expression_epochs=1, progress=False)
    assert torch.equal(before, torch.get_rng_state())


def test_a_second_training_starts_again(simulated: ad.AnnData):
    model = sct.SimpleChrome(simulated, n_latent=4, device="cpu")
    model.train(**QUICK)
    first = model.predict()
    model.train(**QUICK)
    pd.testing.assert_frame_equal(model.predict(), first, check_exact=True)


def test_interrupted_training_leaves_the_model_as_it_was(simulated: ad.AnnData, monkeypatch: pytest.MonkeyPatch):
    model = sct.SimpleChrome(simulated, n_latent=4)

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    def interrupt_training() -> None:
        with monkeypatch.context() as patched:
            patched.setattr("simplechrome_tk.model._training.fit_expression", interrupted)
            with pytest.raises(KeyboardInterrupt):
                model.train(**QUICK)

    interrupt_training()
    assert not model.is_trained
    model.train(**QUICK)
    before = model.predict()
    interrupt_training()
    pd.testing.assert_frame_equal(model.predict(), before, check_exact=True)


def test_data_are_left_as_found():
    adata = prepared(400, n_neighbors=5)
    before = adata.copy()
    model = sct.SimpleChrome(adata, n_latent=4, neighbors_key="tss")
    model.train(latent_epochs=1, expression_epochs=1, progress=False)
    model.evaluate()
    model.get_latent_representation()
    np.testing.assert_array_equal(adata.X, before.X)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert list(adata.uns) == list(before.uns)
    assert list(adata.obsm) == list(before.obsm)


def test_history_names_phases_and_the_epoch_that_was_kept(model: sct.SimpleChrome):
    history = model.history
    assert history["epoch"].tolist() == list(range(1, len(history) + 1))
    assert history["phase"].unique().tolist() == ["latent", "expression", "context"]
    assert history["best"].sum() == 1
    best = history[history["best"]].iloc[0]
    assert best["valid_auroc"] == pytest.approx(score(model.evaluate(), "AUROC", "valid"), abs=1e-9)
    assert history.loc[history["phase"] == "latent", ["reconstruction", "kl"]].notna().all(axis=None)


def test_a_saved_model_is_a_config_and_weights_named_by_their_hash(model: sct.SimpleChrome, tmp_path: Path):
    model.save(tmp_path / "model")
    config, weights = sorted((tmp_path / "model").iterdir())
    assert config.name == "config.json"
    assert weights.name == f"model-{hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}.safetensors"
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "no temporary folder is left"


def test_a_loaded_model_is_the_same_to_the_bit(model: sct.SimpleChrome, simulated: ad.AnnData, tmp_path: Path):
    model.save(tmp_path / "model")
    loaded = sct.SimpleChrome.load(tmp_path / "model", simulated)
    pd.testing.assert_frame_equal(loaded.predict(), model.predict(), check_exact=True)
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())
    pd.testing.assert_frame_equal(loaded.history, model.history, check_exact=True)
    assert repr(loaded) == repr(model)


def test_a_model_that_was_loaded_without_data_needs_them(
    model: sct.SimpleChrome, simulated: ad.AnnData, tmp_path: Path
):
    model.save(tmp_path / "model")
    loaded = sct.SimpleChrome.load(tmp_path / "model")
    with pytest.raises(ValueError, match=r"SimpleChrome\.load\(path, adata\)"):
        loaded.predict()
    pd.testing.assert_frame_equal(loaded.predict(simulated), model.predict(), check_exact=True)


def test_a_model_is_replaced_with_overwrite_alone(model: sct.SimpleChrome, simulated: ad.AnnData, tmp_path: Path):
    model.save(tmp_path / "model")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(tmp_path / "model")
    other = sct.SimpleChrome(simulated, n_latent=3)
    other.train(latent_epochs=1, expression_epochs=1, progress=False)
    other.save(tmp_path / "model", overwrite=True)
    assert sct.SimpleChrome.load(tmp_path / "model", simulated).get_latent_representation().shape[1] == 3


def test_a_model_fits_genes_it_has_not_seen(model: sct.SimpleChrome):
    other = sct.datasets.simulate(500, rng=9)
    sct.pp.tss_neighbors(other, n_neighbors=5)
    with pytest.raises(ValueError, match=r"reference=model\.normalization"):
        model.predict(other)
    sct.pp.normalize(other, reference=model.normalization)
    assert model.predict(other).shape == (500, 6)


def test_other_normalisation_is_refused(model: sct.SimpleChrome):
    other = prepared(500, rng=9)
    with pytest.raises(ValueError, match=r"other constants.*reference=model\.normalization"):
        model.predict(other)


def test_other_columns_are_refused_by_name(model: sct.SimpleChrome, simulated: ad.AnnData, tmp_path: Path):
    model.save(tmp_path / "model")
    fewer = simulated[:, simulated.var["mark"] != "H3K9me3"].copy()
    with pytest.raises(ValueError, match=r"120 missing \(H3K9me3:tss:-4950, .*, \.\.\.\)"):
        sct.SimpleChrome.load(tmp_path / "model", fewer)


def test_renamed_columns_are_refused_by_name(model: sct.SimpleChrome, simulated: ad.AnnData):
    renamed = simulated.copy()
    renamed.var_names = [name.replace("H3K4me1", "H3K27ac") for name in renamed.var_names]
    with pytest.raises(ValueError, match=r"120 missing \(H3K4me1.*120 unknown to the model \(H3K27ac"):
        model.predict(renamed)


def test_columns_in_another_order_are_refused(model: sct.SimpleChrome, simulated: ad.AnnData):
    with pytest.raises(ValueError, match="same names in another order"):
        model.predict(simulated[:, ::-1].copy())


def test_a_folder_without_a_model_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=rf"{re.escape(str(tmp_path))}.*config\.json"):
        sct.SimpleChrome.load(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(model: sct.SimpleChrome, tmp_path: Path):
    model.save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(ValueError, match=r"format 99.*Upgrade"):
        sct.SimpleChrome.load(tmp_path / "model")


def test_held_out_labels_and_ids_never_reach_a_prediction(simulated: ad.AnnData):
    def predicted(adata: ad.AnnData) -> np.ndarray:
        model = sct.SimpleChrome(adata, n_latent=4, neighbors_key="tss", device="cpu")
        model.train(**QUICK)
        return model.predict().to_numpy()

    changed = simulated.copy()
    held_out = (changed.obs["split"] == "test").to_numpy()
    changed.obs.loc[held_out, "label"] = np.where(changed.obs.loc[held_out, "label"] == "low", "high", "low")
    changed.obs.loc[held_out, "expression"] = 1e6
    changed.obs_names = [f"gene{i}" for i in range(changed.n_obs)]
    changed.obs["symbol"] = "same"
    np.testing.assert_array_equal(predicted(changed), predicted(simulated))


def test_permuted_labels_predict_nothing(e116: ad.AnnData):
    permuted = e116.copy()
    sct.pp.split_by_chromosome(permuted)
    sct.pp.normalize(permuted)
    order = np.random.default_rng(0).permutation(permuted.n_obs)
    for column in ("label", "expression"):
        permuted.obs[column] = permuted.obs[column].to_numpy()[order]
    model = sct.SimpleChrome(permuted, n_latent=8)
    model.train(**QUICK)
    table = model.evaluate(splits=["test"], n_bootstrap=0).set_index("metric")["value"]
    assert table["AUROC"] == pytest.approx(0.5, abs=0.03)
    assert table["Pearson"] == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize(("task", "column"), [("classification", "probability"), ("regression", "log_expression")])
def test_one_task_needs_only_its_own_column(simulated: ad.AnnData, task: str, column: str):
    adata = simulated.copy()
    del adata.obs["expression" if task == "classification" else "label"]
    model = sct.SimpleChrome(adata, n_latent=4, task=task)
    model.train(**QUICK)
    assert model.predict().columns.tolist() == [column, f"{column}_low", f"{column}_high"]
    assert set(model.evaluate()["metric"]) == (
        {"AUROC", "AUPRC", "accuracy", "ECE"} if task == "classification" else {"Pearson", "Spearman"}
    )


def test_genes_without_label_still_train_the_latent(simulated: ad.AnnData):
    adata = simulated.copy()
    hidden = np.random.default_rng(0).random(adata.n_obs) < 0.9
    adata.obs.loc[hidden, "label"] = None
    adata.obs.loc[hidden, "expression"] = np.nan
    model = sct.SimpleChrome(adata, n_latent=4)
    model.train(**QUICK)
    prediction = model.predict()
    assert np.isfinite(prediction[["probability", "log_expression"]]).all(axis=None)
    assert prediction.drop(columns=["probability", "log_expression"]).isna().all(axis=None), (
        "too few genes to calibrate"
    )


def test_paper_preset_takes_the_published_settings():
    adata = sct.datasets.simulate(400, windows=[sct.pp.Window.TSS])
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method="paper")
    model = sct.SimpleChrome(adata, preset="paper")
    assert "500" not in repr(model)
    assert repr(model).startswith("SimpleChrome (paper, both): 5 marks x 100 bins -> 10 latents")
    recipe = model.settings.recipe(latent={}, expression={})
    assert (recipe.latent.epochs, recipe.latent.batch_size, recipe.latent.learning_rate) == (5, 64, 1e-4)
    assert recipe.kl_weight == 5e-5
    model.train(latent_epochs=1, progress=False)
    assert model.history["phase"].value_counts().to_dict() == {"expression": 5, "latent": 1}


def refused(adata: ad.AnnData, **kwargs: object) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller looks at the message
        sct.SimpleChrome(adata, **kwargs)
    return str(caught.value)


def test_data_that_are_not_normalised_are_refused():
    assert "sct.pp.normalize(adata) first" in refused(sct.datasets.simulate(300))


def test_prediction_before_training_names_the_call(simulated: ad.AnnData):
    with pytest.raises(RuntimeError, match=r"run model\.train\(\) first"):
        sct.SimpleChrome(simulated).predict()


@pytest.mark.parametrize("argument", ["latent_epochs", "expression_epochs", "batch_size", "learning_rate", "patience"])
def test_training_without_steps_is_refused(simulated: ad.AnnData, argument: str):
    with pytest.raises(ValueError, match=r"is 0; expected a (whole number from 1|finite number above 0)"):
        sct.SimpleChrome(simulated).train(progress=False, **{argument: 0})


@pytest.mark.parametrize("split", ["train", "valid"])
def test_one_class_in_a_split_is_refused(simulated: ad.AnnData, split: str):
    adata = simulated.copy()
    adata.obs.loc[adata.obs["split"] == split, "label"] = "low"
    with pytest.raises(ValueError, match=rf"the {split} split holds low genes only"):
        sct.SimpleChrome(adata, task="classification").train(progress=False)


def test_split_without_known_genes_is_refused(simulated: ad.AnnData):
    adata = simulated.copy()
    valid = adata.obs["split"] == "valid"
    adata.obs.loc[valid, "label"], adata.obs.loc[valid, "expression"] = None, np.nan
    with pytest.raises(ValueError, match="the valid split holds 0 genes with a label or expression"):
        sct.SimpleChrome(adata).train(progress=False)


def test_unknown_labels_are_named(simulated: ad.AnnData):
    adata = simulated.copy()
    adata.obs["label"] = np.where(adata.obs["label"] == "high", "on", "off")
    with pytest.raises(ValueError, match="holds off, on; expected low and high"):
        sct.SimpleChrome(adata, task="classification").train(progress=False)


def test_real_marks_predict_held_out_chromosomes(e116: ad.AnnData, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    adata = e116.copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    model = sct.SimpleChrome(adata)
    model.train(latent_epochs=2, expression_epochs=4, progress=False)
    assert score(model.evaluate(n_bootstrap=10), "AUROC") > 0.95


def test_an_ensemble_is_the_mean_of_its_members(simulated: ad.AnnData, tmp_path: Path):
    together = sct.SimpleChrome(simulated, n_latent=4, n_models=2, device="cpu")
    together.train(**QUICK)
    alone = []
    for seed in (0, 1):
        member = sct.SimpleChrome(simulated, n_latent=4, rng=seed, device="cpu")
        member.train(**QUICK)
        alone.append(member)
    x = together.read(simulated).x
    with torch.no_grad():
        outputs = [torch.stack(member.module(x)) for member in alone]
        torch.testing.assert_close(torch.stack(together.module(x)), torch.stack(outputs).mean(dim=0))
    np.testing.assert_array_equal(together.get_latent_representation(), alone[0].get_latent_representation())
    assert together.history.groupby("model")["best"].sum().tolist() == [1, 1]
    together.save(tmp_path / "model")
    loaded = sct.SimpleChrome.load(tmp_path / "model", simulated)
    pd.testing.assert_frame_equal(loaded.predict(), together.predict(), check_exact=True)
    assert "2 models of" in repr(loaded)


def test_gene_length_is_read_where_windows_cover_the_body():
    adata, model = trained()
    assert model.settings.gene_length
    adata.obs["end"] += 100_000
    assert not np.allclose(model.predict(adata)["probability"], model.predict()["probability"])


def test_without_gene_length_it_has_no_effect():
    adata, model = trained(gene_length=False)
    adata.obs["end"] += 100_000
    pd.testing.assert_frame_equal(model.predict(adata), model.predict(), check_exact=True)


def test_windows_at_the_promoter_do_not_read_the_gene_length(simulated: ad.AnnData):
    promoter = simulated[:, simulated.var["region"] == "tss"].copy()
    del promoter.uns["normalize"]
    promoter.X = promoter.layers.pop("signal")
    sct.pp.normalize(promoter)
    assert not sct.SimpleChrome(promoter, n_latent=4).settings.gene_length


def test_a_gene_without_length_is_named():
    adata, model = trained()
    adata.obs["end"] = adata.obs["end"].astype(float)
    adata.obs.loc[adata.obs_names[3], "end"] = np.nan
    with pytest.raises(ValueError, match=rf"{adata.obs_names[3]}.*gene_length=False"):
        model.predict(adata)


def test_signal_that_is_no_counts_is_refused_by_the_negative_binomial():
    adata = prepared()
    adata.layers["signal"] = adata.layers["signal"] + 0.5
    assert "likelihood='negative_binomial' needs read counts; found" in refused(adata, likelihood="negative_binomial")


def test_counts_are_learnt_with_a_negative_binomial(simulated: ad.AnnData):
    model = sct.SimpleChrome(simulated, n_latent=8, likelihood="negative_binomial")
    model.train(latent_epochs=8, expression_epochs=4, progress=False)
    latent = model.history.query("phase == 'latent'")
    assert latent["reconstruction"].iloc[-1] < latent["reconstruction"].iloc[0]
    assert score(model.evaluate(), "AUROC") > 0.6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"task": "ranking"}, "choose one of classification, regression, both"),
        ({"preset": "best"}, "choose one of default, paper"),
        ({"preset": "paper"}, "sct.pp.normalize(adata, method='paper')"),
        ({"neighbors_key": "hic"}, "sct.pp.tss_neighbors(adata, key_added='hic')"),
        ({"n_latent": 0}, "n_latent is 0"),
        ({"dropout": 1}, "dropout is 1"),
        ({"n_models": 0}, "n_models is 0; expected a whole number from 1 to 1,000,000."),
        ({"n_latent": 4.5}, "n_latent is 4.5; expected a whole number"),
        ({"n_latent": True}, "n_latent is True; expected a whole number"),
        ({"n_latent": "8"}, "n_latent is '8'; expected a whole number"),
        ({"n_latent": 10**9}, "n_latent is 1000000000; expected a whole number from 1 to 1,000,000"),
        ({"n_hidden": 1}, "n_hidden is 1; expected a whole number from 2 to 1,000,000"),
        ({"n_models": float("nan")}, "n_models is nan; expected a whole number"),
        ({"rng": -1}, "rng is -1; expected a whole number from 0 to 4,294,967,295"),
        ({"rng": 2**32 - 1, "n_models": 2}, "rng is 4294967295; expected a whole number from 0 to 4,294,967,294"),
        ({"dropout": float("nan")}, "dropout is nan; expected a finite number"),
        ({"dropout": "0.5"}, "dropout is '0.5'; expected a finite number"),
        ({"gene_length": 1}, "gene_length is 1; expected True or False"),
        ({"neighbors_key": 5}, "neighbors_key is 5; expected a name, as a string"),
        ({"label_key": None}, "label_key is None; expected a name, as a string"),
        ({"task": ["both"]}, "task is ['both']; choose one of"),
        ({"device": "nope"}, "device is 'nope', which torch does not know; expected 'cpu'"),
        ({"device": 4.5}, "device is 4.5, which torch does not know"),
        ({"device": "meta"}, "device='meta' was requested, but nothing can be computed there"),
        ({"device": "cuda:99"}, "device='cuda:99' was requested"),
        ({"likelihood": "poisson"}, "likelihood is 'poisson'; choose one of gaussian, negative_binomial"),
    ],
)
def test_invalid_settings_are_refused(simulated: ad.AnnData, wrong: dict, message: str):
    assert message in refused(simulated, **wrong)


def test_whole_numbers_of_numpy_are_taken_and_saved(simulated: ad.AnnData, tmp_path: Path):
    model = sct.SimpleChrome(
        simulated, n_latent=np.int64(3), n_models=np.uint8(1), rng=np.int32(2), dropout=np.float32(0.25), device="cpu"
    )
    model.train(latent_epochs=np.int64(1), expression_epochs=1, learning_rate=np.float32(1e-3), progress=False)
    model.save(tmp_path / "model")
    assert sct.SimpleChrome.load(tmp_path / "model", device="cpu").settings == model.settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"latent_epochs": 1.5},
        {"batch_size": True},
        {"patience": "3"},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"learning_rate": "fast"},
    ],
)
def test_invalid_arguments_of_the_training_are_refused(simulated: ad.AnnData, wrong: dict):
    with pytest.raises(ValueError, match=rf"is {next(iter(wrong.values()))!r}; expected a (whole|finite) number"):
        sct.SimpleChrome(simulated).train(progress=False, **wrong)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scale", None, "uns['normalize'] has no 'scale'"),
        ("scale", np.zeros(10), "uns['normalize']['scale'] holds 0; expected numbers above 0"),
        ("center", np.full(10, np.nan), "uns['normalize']['center'] is "),
        ("center", np.zeros(9), "expected 10 finite numbers"),
        ("method", "ranks", "the method 'ranks'; expected one of log1p, quantile, paper"),
        ("method", "quantile", "uns['normalize'] has no 'quantiles', 'coverage'"),
    ],
)
def test_a_record_of_the_normalisation_that_does_not_fit_is_refused(name: str, value: object, message: str):
    adata = prepared()
    adata.uns["normalize"][name] = value
    if value is None:
        del adata.uns["normalize"][name]
    assert message in refused(adata)


def test_a_missing_value_in_a_mark_is_named(model: sct.SimpleChrome, simulated: ad.AnnData):
    broken = simulated.copy()
    broken.X[3, 5] = np.nan
    message = f"X holds 1 missing or infinite values, the first for gene {broken.obs_names[3]!r} in "
    for ask in (model.predict, model.get_latent_representation, model.adapt, model.fine_tune):
        with pytest.raises(ValueError, match=re.escape(message + repr(broken.var_names[5]))):
            ask(broken)
    with pytest.raises(ValueError, match=re.escape(message)):
        sct.SimpleChrome(broken).train(progress=False)


def test_other_genes_need_a_graph_of_their_own(model: sct.SimpleChrome, simulated: ad.AnnData):
    other = sct.datasets.simulate(1_500, rng=1)
    sct.pp.split_by_chromosome(other)
    sct.pp.normalize(other, reference=model.normalization)
    for ask in (model.predict, model.adapt, model.fine_tune):
        with pytest.raises(ValueError, match=r"obsp has no tss_connectivities.*sct\.pp\.tss_neighbors\(adata"):
            ask(other)
    for slot in ("tss_connectivities", "tss_distances"):
        other.obsp[slot] = simulated.obsp[slot]
    for ask in (model.predict, model.adapt, model.fine_tune):
        with pytest.raises(ValueError, match="the graph 'tss' is not of these genes"):
            ask(other)


def test_a_training_that_diverges_says_so_and_leaves_the_model(simulated: ad.AnnData):
    model = sct.SimpleChrome(simulated, n_latent=4, device="cpu")
    with pytest.raises(ValueError, match=r"learning_rate, found 1e\+30"):
        model.train(learning_rate=1e30, latent_epochs=2, expression_epochs=1, progress=False)
    assert not model.is_trained


def test_small_batches_of_phase_1_take_smaller_steps(simulated: ad.AnnData):
    recipe = sct.SimpleChrome(simulated).settings.recipe
    usual = recipe(latent={}, expression={})
    small = recipe(latent={"batch_size": 16}, expression={"batch_size": 16})
    assert small.latent.learning_rate == pytest.approx(usual.latent.learning_rate / 4)
    assert small.expression.learning_rate == usual.expression.learning_rate
    assert recipe(latent={"batch_size": 1_000}, expression={}).latent.learning_rate == usual.latent.learning_rate
    given = recipe(latent={"batch_size": 16, "learning_rate": 1e-3}, expression={})
    assert given.latent.learning_rate == 1e-3


def test_every_way_to_build_a_model_sets_the_same_attributes(tmp_path: Path):
    adata, model = trained()
    model.save(tmp_path / "model")
    others = (
        sct.SimpleChrome(adata, device="cpu"),
        sct.SimpleChrome.load(tmp_path / "model", device="cpu"),
        model.adapt(adata),
        model.fine_tune(adata, epochs=1, progress=False),
    )
    assert [vars(other).keys() for other in others] == [vars(model).keys()] * 4

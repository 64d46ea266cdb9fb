"""Comparison models: what they learn, what they must not see, and which other data they predict."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, TypeAlias

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

import simplechrome_tk as sct
from simplechrome_tk import evaluation, nn
from simplechrome_tk.evaluation._network_model import ComparisonNetwork
from simplechrome_tk.nn import _baselines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Model: TypeAlias = evaluation.ComparisonModel | ComparisonNetwork

WINDOWS = [sct.pp.Window("tss", "tss", 5_000, 5_000, 20), sct.pp.Window("body", "body", 0, 0, 14)]


def short(model: ComparisonNetwork, **changes: object) -> ComparisonNetwork:
    """Few and quick steps for few genes."""
    model.phase = dataclasses.replace(model.phase, **{"epochs": 4, "batch_size": 32, **changes})
    return model


def boosting(rng: int | np.random.Generator = 0) -> evaluation.GradientBoosting:
    return evaluation.GradientBoosting(classifier_rounds=20, regressor_rounds=20, n_seeds=2, rng=rng)


def plain() -> evaluation.ComparisonModel:
    return evaluation.ComparisonModel(LogisticRegression(max_iter=1_000), LinearRegression())


MODELS: dict[str, Callable[[], Model]] = {
    "logistic": evaluation.LogisticRegression,
    "boosting": boosting,
    "pca": lambda: evaluation.PCAHead(8),
    "mlp": lambda: short(evaluation.MLP()),
    "deepchrome": lambda: short(evaluation.DeepChrome()),
    "attentivechrome": lambda: short(evaluation.AttentiveChrome(), epochs=2, learning_rate=2e-2),
}
each_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other are slow on so few genes."""
    with threadpool_limits(1):
        yield


def simulate(n_genes: int = 1_200, rng: int = 0) -> ad.AnnData:
    adata = sct.datasets.simulate(n_genes, windows=WINDOWS, rng=rng)
    sct.pp.split_by_chromosome(adata)
    return adata


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    adata = simulate()
    sct.pp.normalize(adata)
    return adata


@pytest.fixture(scope="module")
def other_cell(simulated: ad.AnnData) -> ad.AnnData:
    """Genes of another cell type, normalised with the constants of the first, without labels and splits."""
    adata = sct.datasets.simulate(300, windows=WINDOWS, rng=7)
    adata.obs = adata.obs.drop(columns=["label", "expression"])
    sct.pp.normalize(adata, reference=simulated.uns["normalize"])
    return adata


@pytest.fixture(scope="module")
def fitted(simulated: ad.AnnData) -> Callable[[str], Model]:
    """Each model, fitted once."""
    models: dict[str, Model] = {}

    def fit(name: str) -> Model:
        if name not in models:
            with threadpool_limits(1):
                models[name] = MODELS[name]().fit(simulated)
        return models[name]

    return fit


each_name = pytest.mark.parametrize("name", MODELS)


def predict(make: Callable[[], Model], adata: ad.AnnData, **kwargs: object) -> pd.DataFrame:
    return make().fit(adata, **kwargs).predict(adata)


def scores(adata: ad.AnnData, prediction: pd.DataFrame) -> pd.Series:
    table = evaluation.evaluate(adata, prediction, splits=["test"], n_bootstrap=0)
    return table.set_index("metric")["value"]


# What is learnt


@each_name
def test_planted_signal_is_learnt(simulated: ad.AnnData, fitted: Callable[[str], Model], name: str):
    reached = scores(simulated, fitted(name).predict(simulated))
    assert reached["AUROC"] > 0.8
    assert reached["Pearson"] > 0.6


@each_name
def test_the_same_seed_gives_the_same_bits(simulated: ad.AnnData, fitted: Callable[[str], Model], name: str):
    first, again = fitted(name).predict(simulated), predict(MODELS[name], simulated)
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    assert list(first) == ["probability", "log_expression"]


@each_name
def test_predicting_other_data_does_not_depend_on_the_rows_beside(
    simulated: ad.AnnData, fitted: Callable[[str], Model], name: str
):
    genes = np.arange(0, simulated.n_obs, 3)
    whole = fitted(name).predict(simulated).iloc[genes]
    part = fitted(name).predict(simulated[genes].copy())
    np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-5)


def test_estimators_are_those_of_scikit_learn(simulated: ad.AnnData, other_cell: ad.AnnData):
    """Equal to the bit with scikit-learn on the columns, and the gene's length as the last of them."""
    train = (simulated.obs["split"] == "train").to_numpy()

    def columns(adata: ad.AnnData) -> np.ndarray:
        length = np.log10(adata.obs["end"] - adata.obs["start"])
        return np.column_stack([adata.X, ((length - 4.33) / 0.63).astype(np.float32)])

    x, high = columns(simulated), (simulated.obs["label"] == "high").to_numpy()
    classifier = LogisticRegression(max_iter=1_000).fit(x[train], high[train].astype(int))
    regressor = LinearRegression().fit(x[train], sct.pp.log_expression(simulated.obs["expression"])[train])
    prediction = plain().fit(simulated).predict(other_cell)
    np.testing.assert_array_equal(prediction["probability"], classifier.predict_proba(columns(other_cell))[:, 1])
    np.testing.assert_array_equal(prediction["log_expression"], regressor.predict(columns(other_cell)))
    assert list(prediction.index) == list(other_cell.obs_names)


def test_missing_labels_and_expression_are_left_out_apart(simulated: ad.AnnData):
    adata = simulated.copy()
    train = (adata.obs["split"] == "train").to_numpy()
    labelled, measured = train.copy(), train.copy()
    no_label, no_expression = np.flatnonzero(train)[:2]
    labelled[no_label] = measured[no_expression] = False
    adata.obs.iloc[no_label, adata.obs.columns.get_loc("label")] = np.nan
    adata.obs.iloc[no_expression, adata.obs.columns.get_loc("expression")] = np.nan
    prediction = predict(plain, adata, gene_length=False)
    high = (simulated.obs["label"] == "high").to_numpy()
    classifier = LogisticRegression(max_iter=1_000).fit(adata.X[labelled], high[labelled])
    expression = sct.pp.log_expression(simulated.obs["expression"])
    regressor = LinearRegression().fit(adata.X[measured], expression[measured])
    np.testing.assert_allclose(prediction["probability"], classifier.predict_proba(adata.X)[:, 1])
    np.testing.assert_allclose(prediction["log_expression"], regressor.predict(adata.X), rtol=1e-5)


def test_genes_without_label_are_counted(simulated: ad.AnnData, caplog: pytest.LogCaptureFixture):
    adata = simulated.copy()
    train = adata.obs_names[adata.obs["split"] == "train"]
    adata.obs.loc[train[:10], "label"] = None
    with caplog.at_level(logging.INFO):
        short(evaluation.MLP(), epochs=1).fit(adata)
    assert f"label from {len(train) - 10} of {len(train)}" in caplog.text


def test_expression_is_scaled_by_training_genes_alone(simulated: ad.AnnData, fitted: Callable[[str], Model]):
    adata = simulated.copy()
    train = (adata.obs["split"] == "train").to_numpy()
    adata.obs.loc[adata.obs["split"] == "test", "expression"] = np.nan
    prediction = predict(MODELS["mlp"], adata)
    pd.testing.assert_frame_equal(prediction, fitted("mlp").predict(simulated), check_exact=True)
    measured = sct.pp.log_expression(simulated.obs["expression"][train])
    assert prediction["log_expression"][train].mean() == pytest.approx(measured.mean(), abs=0.2)


@pytest.mark.parametrize(("task", "column"), [("classification", "probability"), ("regression", "log_expression")])
def test_one_task_needs_only_its_own_column(simulated: ad.AnnData, task: str, column: str):
    adata = simulated.copy()
    del adata.obs["expression" if task == "classification" else "label"]
    model = ComparisonNetwork(_baselines.MLP, nn.Phase(1, 32, 3e-3), task=task)
    assert list(model.fit(adata).predict(adata)) == [column]


def test_without_regressor_no_expression_is_needed(simulated: ad.AnnData):
    adata = simulated.copy()
    del adata.obs["expression"]
    assert list(predict(lambda: evaluation.ComparisonModel(LogisticRegression()), adata)) == ["probability"]


# What is left alone


@each_model
def test_own_label_never_reaches_the_prediction(
    simulated: ad.AnnData, fitted: Callable[[str], Model], make: Callable[[], Model], request: pytest.FixtureRequest
):
    changed = simulated.copy()
    test = (changed.obs["split"] == "test").to_numpy()
    changed.obs.loc[test, "label"] = np.where(changed.obs["label"][test] == "high", "low", "high")
    changed.obs.loc[test, "expression"] = 1e4 - changed.obs["expression"][test].clip(upper=1e4)
    expected = fitted(request.node.callspec.id).predict(simulated)
    pd.testing.assert_frame_equal(predict(make, changed), expected, check_exact=True)


@each_model
def test_data_and_random_state_are_left_as_they_were(simulated: ad.AnnData, make: Callable[[], Model]):
    before, random_state = simulated.copy(), torch.get_rng_state()
    predict(make, simulated)
    assert torch.equal(torch.get_rng_state(), random_state)
    np.testing.assert_array_equal(simulated.X, before.X)
    pd.testing.assert_frame_equal(simulated.obs, before.obs)


def test_estimators_are_copied(simulated: ad.AnnData):
    model = plain().fit(simulated)
    assert not hasattr(model.classifier, "coef_")
    assert model.classifier_.coef_.shape == (1, simulated.n_vars + 1)


@pytest.fixture(scope="module")
def permuted() -> ad.AnnData:
    """Labels and expression of other genes. Without signal the AUROC of 5,000 genes has a standard error of .008."""
    adata = sct.datasets.simulate(6_000, windows=WINDOWS)
    generator = np.random.default_rng(0)
    adata.obs["split"] = generator.permutation(np.repeat(["train", "valid", "test"], [700, 300, 5_000]))
    measured = ["label", "expression"]
    dealt = generator.permutation(adata.n_obs)
    adata.obs[measured] = adata.obs[measured].iloc[dealt].set_axis(adata.obs_names)
    sct.pp.normalize(adata)
    return adata


@each_model
def test_permuted_labels_cannot_be_predicted(permuted: ad.AnnData, make: Callable[[], Model]):
    reached = scores(permuted, predict(make, permuted))
    assert reached["AUROC"] == pytest.approx(0.5, abs=0.03)
    assert abs(reached["Pearson"]) < 0.06


# Seeds


def test_rng_of_a_network_is_a_seed_or_a_generator():
    for model in (evaluation.MLP, evaluation.DeepChrome, evaluation.AttentiveChrome):
        assert model(rng=0).seed == model(rng=np.random.default_rng(0)).seed != model(rng=1).seed


def test_another_seed_gives_another_network(simulated: ad.AnnData):
    first, other = (predict(lambda rng=rng: short(evaluation.MLP(rng=rng), epochs=1), simulated) for rng in (0, 1))
    assert not np.allclose(first, other)


def test_rng_decides_which_columns_boosting_reads(simulated: ad.AnnData, fitted: Callable[[str], Model]):
    first = fitted("boosting").predict(simulated)
    again = predict(lambda: boosting(np.random.default_rng(0)), simulated)
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    assert not np.allclose(predict(lambda: boosting(1), simulated), first)


# Other data


@each_name
def test_another_cell_type_is_predicted(
    simulated: ad.AnnData, other_cell: ad.AnnData, fitted: Callable[[str], Model], name: str
):
    truth = sct.datasets.simulate(300, windows=WINDOWS, rng=7).obs["expression"]
    prediction = fitted(name).predict(other_cell)
    assert list(prediction.index) == list(other_cell.obs_names)
    assert np.corrcoef(prediction["log_expression"], sct.pp.log_expression(truth))[0, 1] > 0.6


def test_another_cell_type_is_predicted_as_if_it_had_been_stacked(
    simulated: ad.AnnData, other_cell: ad.AnnData, fitted: Callable[[str], Model]
):
    """Genes that are stacked as a test split are predicted to the same bit."""
    other = other_cell.copy()
    other.obs_names = other.obs_names + ":other"
    other.obs["split"] = "test"
    both = ad.concat([simulated, other], join="outer", merge="same", uns_merge="first")
    stacked = predict(boosting, both).loc[other.obs_names]
    alone = fitted("boosting").predict(other)
    pd.testing.assert_frame_equal(alone, stacked, check_exact=True)


def test_other_columns_are_refused(other_cell: ad.AnnData, fitted: Callable[[str], Model]):
    with pytest.raises(ValueError, match="1 missing"):
        fitted("boosting").predict(other_cell[:, 1:].copy())
    with pytest.raises(ValueError, match="another order"):
        fitted("boosting").predict(other_cell[:, ::-1].copy())


@each_name
def test_another_normalisation_is_refused(fitted: Callable[[str], Model], name: str):
    other = sct.datasets.simulate(300, windows=WINDOWS, rng=7)
    with pytest.raises(ValueError, match=r"reference=model\.normalization"):
        fitted(name).predict(other)
    sct.pp.split_by_chromosome(other)
    sct.pp.normalize(other)
    with pytest.raises(ValueError, match="other constants"):
        fitted(name).predict(other)


def test_the_call_in_the_error_normalises_other_data(other_cell: ad.AnnData, fitted: Callable[[str], Model]):
    other = sct.datasets.simulate(300, windows=WINDOWS, rng=7)
    sct.pp.normalize(other, reference=fitted("boosting").normalization)
    expected = fitted("boosting").predict(other_cell)
    pd.testing.assert_frame_equal(fitted("boosting").predict(other), expected, check_exact=True)


def test_a_model_of_raw_signal_refuses_normalised_data(simulated: ad.AnnData):
    raw = simulate()
    model = boosting().fit(raw)
    assert len(model.predict(raw)) == raw.n_obs
    with pytest.raises(ValueError, match="raw signal"):
        model.predict(simulated)
    with pytest.raises(ValueError, match="not normalised"):
        _ = model.normalization


def test_genes_without_length_are_refused(other_cell: ad.AnnData, fitted: Callable[[str], Model]):
    other = other_cell.copy()
    other.obs.iloc[2, other.obs.columns.get_loc("end")] = np.nan
    with pytest.raises(ValueError, match="1 genes have no length"):
        fitted("boosting").predict(other)
    assert len(fitted("deepchrome").predict(other)) == other.n_obs, "it does not read the length"


@each_model
def test_models_that_are_not_fitted_say_so(simulated: ad.AnnData, make: Callable[[], Model]):
    model = make()
    assert "not fitted" in repr(model)
    with pytest.raises(NotFittedError, match=r"model\.fit\(adata\)"):
        model.predict(simulated)


def test_a_fit_that_fails_leaves_the_model_as_it_was(simulated: ad.AnnData):
    model = plain().fit(simulated)
    before = model.predict(simulated)
    one_class = simulated.copy()
    one_class.obs["label"] = "low"
    with pytest.raises(ValueError, match="both classes"):
        model.fit(one_class)
    pd.testing.assert_frame_equal(model.predict(simulated), before, check_exact=True)


# Representations and the length of the gene


@pytest.fixture
def represented(simulated: ad.AnnData) -> ad.AnnData:
    adata = simulated.copy()
    adata.obsm["X_marks"] = adata.X[:, :40].astype(float)
    adata.obsm["X_scaled"] = 1_000 + 100 * adata.obsm["X_marks"]
    return adata


def test_a_representation_is_read_instead_of_x(represented: ad.AnnData):
    columns = represented[:, represented.var["region"] == "tss"].copy()
    represented.obsm["X_tss"] = columns.X.copy()
    prediction = predict(plain, represented, use_rep="X_tss")
    expected = predict(plain, columns, gene_length=False)
    # Another layout of the same numbers in memory may change the last bits of a sum.
    pd.testing.assert_frame_equal(prediction, expected, rtol=1e-5, atol=1e-6)


def test_a_representation_is_standardised_for_a_network(represented: ad.AnnData):
    first, scaled = (predict(MODELS["mlp"], represented, use_rep=key) for key in ("X_marks", "X_scaled"))
    np.testing.assert_allclose(first, scaled, atol=1e-3)


def test_a_representation_of_other_data_is_standardised_by_the_training_genes(represented: ad.AnnData):
    model = short(evaluation.MLP()).fit(represented, use_rep="X_marks")
    genes = np.arange(50)
    part = model.predict(represented[genes].copy())
    np.testing.assert_allclose(part, model.predict(represented).iloc[genes], rtol=1e-4, atol=1e-5)


def test_another_representation_is_refused(represented: ad.AnnData):
    model = plain().fit(represented, use_rep="X_marks")
    represented.obsm["X_marks"] = represented.obsm["X_marks"][:, :7]
    with pytest.raises(ValueError, match="7 columns; expected 40"):
        model.predict(represented)


@pytest.mark.parametrize("make", [plain, MODELS["mlp"]], ids=["plain", "mlp"])
def test_the_length_is_read_beside_a_representation(represented: ad.AnnData, make: Callable[[], Model]):
    blind = predict(make, represented, use_rep="X_marks")
    seeing = predict(make, represented, use_rep="X_marks", gene_length=True)
    assert not np.allclose(blind, seeing)


@pytest.mark.parametrize(
    ("make", "reads"),
    [(evaluation.LogisticRegression, True), (evaluation.MLP, True), (evaluation.DeepChrome, False)],
    ids=["logistic", "mlp", "deepchrome"],
)
def test_gene_length_is_read_where_simplechrome_reads_it(simulated: ad.AnnData, make: Callable[[], Model], reads: bool):
    longer = simulated.copy()
    longer.obs["end"] += 1_000_000
    model = make() if reads and make is evaluation.LogisticRegression else short(make(), epochs=1)
    model.fit(simulated)
    assert np.allclose(model.predict(simulated), model.predict(longer)) != reads
    model.fit(simulated, gene_length=False)
    pd.testing.assert_frame_equal(model.predict(simulated), model.predict(longer), check_exact=True)


def test_a_model_names_what_it_reads(represented: ad.AnnData):
    assert repr(plain().fit(represented)) == "ComparisonModel, fitted to 170 columns of X and the gene's length"
    assert "40 columns of obsm['X_marks']" in repr(plain().fit(represented, use_rep="X_marks"))


# Bad input


@each_model
@pytest.mark.parametrize(
    ("change", "token"),
    [
        (lambda adata: adata.X.__setitem__((3, 5), np.nan), "1 missing or infinite"),
        (lambda adata: setattr(adata, "obs", adata.obs.assign(label="low")), "low; expected both classes"),
        (lambda adata: setattr(adata, "obs", adata.obs.assign(label=None)), "no label is known"),
        (lambda adata: setattr(adata, "obs", adata.obs.assign(expression=np.nan)), "no expression is known"),
        (lambda adata: setattr(adata, "obs", adata.obs.drop(columns="split")), "pp.split_by_chromosome"),
        (lambda adata: setattr(adata, "obs", adata.obs.assign(split="test")), "any of the 0 training genes"),
    ],
    ids=["missing values", "one class", "no label", "no expression", "no split", "no training genes"],
)
def test_bad_input_is_named(simulated: ad.AnnData, make: Callable[[], Model], change: Callable, token: str):
    adata = simulated.copy()
    change(adata)
    with pytest.raises(ValueError, match=token):
        make().fit(adata)


@each_model
def test_an_unknown_representation_is_named(simulated: ad.AnnData, make: Callable[[], Model]):
    with pytest.raises(ValueError, match="obsm has no 'X_pca'"):
        make().fit(simulated, use_rep="X_pca")


def test_classifiers_without_probabilities_are_refused(simulated: ad.AnnData):
    with pytest.raises(TypeError, match="LinearSVC has no predict_proba"):
        evaluation.ComparisonModel(LinearSVC()).fit(simulated)


def test_networks_need_validation_genes_of_both_classes(simulated: ad.AnnData):
    adata = simulated.copy()
    adata.obs.loc[adata.obs["split"] == "valid", "label"] = "high"
    with pytest.raises(ValueError, match="valid split holds high"):
        short(evaluation.MLP()).fit(adata)


def test_networks_need_validation_genes(simulated: ad.AnnData):
    with pytest.raises(ValueError, match="valid split holds 0 genes"):
        short(evaluation.MLP()).fit(simulated[simulated.obs["split"] != "valid"].copy())


def test_networks_need_normalised_marks():
    with pytest.raises(ValueError, match=r"pp\.normalize"):
        short(evaluation.MLP()).fit(simulate(300))


def test_networks_name_regions_that_they_cannot_read(simulated: ad.AnnData):
    few = simulated[:, simulated.var["bin"] < 13].copy()
    with pytest.raises(ValueError, match="at least 14 bins, found 13"):
        evaluation.DeepChrome().fit(few)
    few.obsm["X_some"] = few.X[:, :4]
    with pytest.raises(ValueError, match="at least 2 bins, found 1"):
        evaluation.AttentiveChrome().fit(few, use_rep="X_some")


def test_too_many_components_are_refused(simulated: ad.AnnData):
    with pytest.raises(ValueError, match="n_components=400"):
        evaluation.PCAHead(400).fit(simulated)

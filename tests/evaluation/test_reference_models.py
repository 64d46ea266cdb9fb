"""Comparison models that read reference samples and no marks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import simplechrome_tk as sct
from simplechrome_tk import evaluation

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = ["far", "near", "middle"]
each_model = pytest.mark.parametrize("make", [evaluation.ReferenceMean, evaluation.NearestReference])


def make_genes(
    n: int = 600, *, noise: tuple[float, ...] = (2.0, 0.3, 1.0), seed: int = 0, cell: str = "A"
) -> ad.AnnData:
    """Genes with a level of their own, which the reference samples have with more or less noise."""
    rng = np.random.default_rng(seed)
    log = np.maximum(rng.normal(0, 1, n), -0.9)
    obs = pd.DataFrame(
        {
            "expression": 10**log - 0.1,
            "label": np.where(log > np.median(log), "high", "low"),
            "split": np.array(["train", "valid", "test"])[np.arange(n) % 3],
            "cell_type": cell,
        },
        index=[f"g{i}" for i in range(n)],
    )
    adata = ad.AnnData(obs=obs)
    adata.obsm["reference_expression"] = (log[:, None] + rng.normal(0, noise, (n, 3))).astype(np.float32)
    adata.uns["reference_expression"] = {"samples": SAMPLES}
    return adata


def test_the_mean_is_predicted():
    adata = make_genes()
    found = evaluation.ReferenceMean().fit(adata).predict(adata)
    expected = adata.obsm["reference_expression"].astype(float).mean(axis=1)
    np.testing.assert_allclose(found["log_expression"], expected, atol=1e-6)
    assert found.sort_values("log_expression")["probability"].is_monotonic_increasing


def test_the_nearest_sample_is_found_and_predicted():
    adata = make_genes()
    model = evaluation.NearestReference().fit(adata)
    assert model.nearest_ == {"A": "near"}
    assert repr(model) == "NearestReference, fitted: near for A"
    found = model.predict(adata)
    np.testing.assert_array_equal(found["log_expression"], adata.obsm["reference_expression"][:, 1])


def test_each_cell_type_has_its_nearest_sample():
    parts = [make_genes(cell="A"), make_genes(noise=(0.2, 1, 1), seed=1, cell="B")]
    both = ad.concat(parts, index_unique=":", keys=["A", "B"], uns_merge="same")
    model = evaluation.NearestReference().fit(both)
    assert model.nearest_ == {"A": "near", "B": "far"}
    found = model.predict(both)["log_expression"].to_numpy()
    np.testing.assert_array_equal(found[600:], parts[1].obsm["reference_expression"][:, 0])


def test_the_nearest_sample_is_chosen_on_training_genes():
    adata = make_genes()
    held_out = (adata.obs["split"] != "train").to_numpy()
    adata.obsm["reference_expression"][held_out, 1] *= -1
    assert evaluation.NearestReference().fit(adata).nearest_ == {"A": "near"}


@each_model
def test_held_out_truth_is_not_read(make: Callable):
    adata = make_genes()
    expected = make().fit(adata).predict(adata)
    held_out = adata.obs["split"] != "train"
    adata.obs.loc[held_out, "expression"] = 3.0
    adata.obs.loc[held_out, "label"] = "low"
    pd.testing.assert_frame_equal(make().fit(adata).predict(adata), expected)


@each_model
def test_the_probability_is_calibrated(make: Callable):
    adata = make_genes(3_000)
    table = evaluation.evaluate(adata, make().fit(adata).predict(adata), splits="test", n_bootstrap=0)
    scores = table.set_index("metric")["value"]
    assert scores["AUROC"] > 0.85
    assert scores["ECE"] < 0.06


@each_model
def test_genes_without_reference_are_not_predicted(make: Callable, caplog: pytest.LogCaptureFixture):
    adata = make_genes()
    adata.obsm["reference_expression"][:7] = np.nan
    with caplog.at_level(logging.WARNING):
        found = make().fit(adata).predict(adata)
    assert found.isna().all(axis=1).tolist() == [True] * 7 + [False] * 593
    assert "7 of 600 genes have no reference" in caplog.text


def test_a_constant_sample_is_not_the_nearest():
    adata = make_genes()
    adata.obsm["reference_expression"][:, 0] = 1.0
    assert evaluation.NearestReference().fit(adata).nearest_ == {"A": "near"}
    adata.obsm["reference_expression"][:] = 1.0
    with pytest.raises(ValueError, match="no reference sample can be correlated"):
        evaluation.NearestReference().fit(adata)


@each_model
def test_a_model_is_fitted_first(make: Callable):
    assert "not fitted" in repr(make())
    with pytest.raises(NotFittedError):
        make().predict(make_genes())


@each_model
@pytest.mark.parametrize(
    ("change", "token"),
    [
        (lambda adata: adata.obsm.pop("reference_expression"), "sct.pp.add_reference_expression"),
        (lambda adata: adata.obs.pop("split"), "split_by_chromosome"),
        (lambda adata: adata.obs.__setitem__("label", "low"), "expected both classes"),
        (lambda adata: adata.obs.__setitem__("expression", np.nan), "no "),
    ],
)
def test_bad_input_is_named(make: Callable, change: Callable, token: str):
    adata = make_genes()
    change(adata)
    with pytest.raises(ValueError, match=token):
        make().fit(adata)


def test_another_cell_type_or_reference_is_named():
    model = evaluation.NearestReference().fit(make_genes())
    with pytest.raises(ValueError, match="adata holds B"):
        model.predict(make_genes(cell="B"))
    other = make_genes()
    other.uns["reference_expression"] = {"samples": ["x", "y", "z"]}
    with pytest.raises(ValueError, match="no sample near"):
        model.predict(other)


def test_other_data_without_labels_are_predicted():
    model = evaluation.ReferenceMean().fit(make_genes())
    other = make_genes(cell="B", seed=2)
    other.obs = other.obs[["cell_type"]]
    assert model.predict(other).notna().all(axis=None)


# Boosting of the reference and of related genes


def boosting(**kwargs: object) -> evaluation.GradientBoosting:
    return evaluation.GradientBoosting(classifier_rounds=20, regressor_rounds=30, n_seeds=1, **kwargs)


@pytest.fixture(scope="module")
def related() -> ad.AnnData:
    """Simulated genes, of which each has two related genes anywhere; half of its expression is that of their marks."""
    adata = sct.datasets.simulate(1_000, windows=[sct.pp.Window("tss", "tss", 5_000, 5_000, 10)], rng=0)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    rng = np.random.default_rng(0)
    own = sct.pp.log_expression(adata.obs["expression"])
    pairs = np.array([rng.permutation(adata.n_obs) for _ in range(2)]).T
    graph = np.zeros((adata.n_obs, adata.n_obs), dtype=np.float32)
    graph[np.arange(adata.n_obs)[:, None], pairs] = 1.0
    np.fill_diagonal(graph, 0)
    total = 0.4 * own + 0.6 * (graph @ own) / graph.sum(axis=1)
    from scipy import sparse

    adata.obsp["coexpression_connectivities"] = sparse.csr_matrix(graph)
    adata.obsp["coexpression_distances"] = sparse.csr_matrix(graph.shape)
    adata.obs["expression"] = np.maximum(10**total - 0.1, 0)
    del adata.obs["label"]
    sct.pp.label_expression(adata)
    adata.obsm["reference_expression"] = (total[:, None] + rng.normal(0, 0.3, (adata.n_obs, 4))).astype(np.float32)
    adata.uns["reference_expression"] = {"samples": list("abcd")}
    return adata


def pearson(adata: ad.AnnData, model: evaluation.GradientBoosting) -> float:
    table = evaluation.evaluate(adata, model.fit(adata).predict(adata), splits="test", n_bootstrap=0)
    return table.set_index("metric").loc["Pearson", "value"]


def test_related_genes_and_reference_are_used(related: ad.AnnData):
    alone = pearson(related, boosting())
    assert pearson(related, boosting(neighbors_key="coexpression")) > alone + 0.1
    assert pearson(related, boosting(reference_key="reference_expression")) > alone + 0.2


def test_the_reference_alone_does_not_read_marks(related: ad.AnnData):
    model = boosting(reference_key="reference_expression", marks=False).fit(related)
    other = related.copy()
    other.X = other.X[::-1].copy()
    other.obs["end"] += 10_000
    pd.testing.assert_frame_equal(model.predict(other), model.predict(related))
    assert "without marks, 4 reference samples" in repr(model)


def test_what_is_known_of_neighbours_is_a_weighted_mean(related: ad.AnnData):
    model = boosting(neighbors_key="coexpression", reference_key="reference_expression").fit(related)
    inputs = model._fitted_inputs().read(related)
    columns = model._more.join(related, inputs)[:, inputs.shape[1] + 4 :]
    weights = related.obsp["coexpression_connectivities"].toarray()
    marks = related.X.reshape(related.n_obs, 5, 10).mean(axis=2)
    np.testing.assert_allclose(columns[:, 1:], weights @ marks / weights.sum(axis=1)[:, None], rtol=1e-4)
    own = model._more.own.predict(related, inputs) - related.obsm["reference_expression"].astype(float).mean(axis=1)
    np.testing.assert_allclose(columns[:, 0], weights @ own / weights.sum(axis=1), rtol=1e-6)


def test_training_genes_are_predicted_out_of_fold(related: ad.AnnData):
    model = boosting(neighbors_key="coexpression").fit(related)
    inputs = model._fitted_inputs().read(related)
    own = model._more.own.predict(related, inputs)
    train = (related.obs["split"] == "train").to_numpy()
    chrom = related.obs["chrom"].astype(str).to_numpy()
    changed = related.copy()
    name = chrom[train][0]
    # What was measured on a chromosome does not reach the predictions of its own genes.
    changed.obs.loc[chrom == name, "expression"] = 1_000.0
    again = boosting(neighbors_key="coexpression").fit(changed)._more.own.predict(changed, inputs)
    np.testing.assert_array_equal(again[chrom == name], own[chrom == name])
    assert not np.allclose(again[~train], own[~train])


def test_genes_without_neighbours_and_reference_are_missing_values(
    related: ad.AnnData, caplog: pytest.LogCaptureFixture
):
    adata = related.copy()
    adata.obsm["reference_expression"][:5] = np.nan
    adata.obsp["coexpression_connectivities"] = adata.obsp["coexpression_connectivities"].tolil()
    adata.obsp["coexpression_connectivities"][:6] = 0
    adata.obsp["coexpression_connectivities"] = adata.obsp["coexpression_connectivities"].tocsr()
    adata.obsp["coexpression_connectivities"].eliminate_zeros()
    model = boosting(neighbors_key="coexpression", reference_key="reference_expression")
    with caplog.at_level(logging.INFO):
        assert model.fit(adata).predict(adata).notna().all(axis=None)
    assert "6 of 1000 genes have no neighbour" in caplog.text
    assert "5 of 1000 genes have no reference" in caplog.text


def test_a_prediction_does_not_depend_on_the_order_of_genes(related: ad.AnnData):
    model = boosting(neighbors_key="coexpression", reference_key="reference_expression").fit(related)
    order = np.random.default_rng(1).permutation(related.n_obs)
    shuffled = model.predict(related[order].copy())
    pd.testing.assert_frame_equal(shuffled.loc[related.obs_names], model.predict(related))


@pytest.mark.parametrize(
    ("change", "token"),
    [
        (lambda adata: adata.uns.__setitem__("reference_expression", {"samples": list("abce")}), "absent: d; new: e"),
        (lambda adata: adata.obsm.pop("reference_expression"), "add_reference_expression"),
        (lambda adata: adata.obsp.pop("coexpression_connectivities"), "obsp has no coexpression_connectivities"),
    ],
)
def test_other_data_need_the_same_reference_and_graph(related: ad.AnnData, change: Callable, token: str):
    model = boosting(neighbors_key="coexpression", reference_key="reference_expression").fit(related)
    other = related.copy()
    change(other)
    with pytest.raises(ValueError, match=token):
        model.predict(other)


def test_bad_settings_are_named(related: ad.AnnData):
    with pytest.raises(ValueError, match="marks is False"):
        boosting(marks=False)
    adata = related.copy()
    adata.obsm["X_some"] = adata.X[:, :4]
    with pytest.raises(ValueError, match="use_rep is 'X_some'"):
        boosting(neighbors_key="coexpression").fit(adata, use_rep="X_some")
    adata.obs["chrom"] = "chr3"
    with pytest.raises(ValueError, match="one chromosome"):
        boosting(neighbors_key="coexpression").fit(adata)

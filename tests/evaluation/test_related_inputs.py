"""Boosting that reads the reference and what is known of related genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import simplechrome_tk as sct
from simplechrome_tk import evaluation

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad


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
    keep = sparse.diags((np.arange(adata.n_obs) > 5).astype(np.float32))
    adata.obsp["coexpression_connectivities"] = sparse.csr_matrix(keep @ adata.obsp["coexpression_connectivities"])
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

"""Comparison models that read reference samples and no marks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

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

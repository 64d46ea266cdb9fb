"""The mean of the same gene in other cell types, as a comparison model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk import evaluation

if TYPE_CHECKING:
    import anndata as ad

WINDOWS = [sct.pp.Window("tss", "tss", 5_000, 5_000, 20)]


@pytest.fixture
def cells() -> dict[str, ad.AnnData]:
    """Three cell types with the same genes, whose expression is a level of the gene and noise of the cell type."""
    rng = np.random.default_rng(0)
    level = rng.normal(0, 1, 400)
    parts = {}
    for name in "ABC":
        part = sct.datasets.simulate(400, windows=WINDOWS, rng=0)
        part.obs["expression"] = np.clip(10 ** (level + rng.normal(0, 0.3, 400)) - 0.1, 0, None)
        sct.pp.label_expression(part)
        sct.pp.split_by_chromosome(part)
        parts[name] = part
    return parts


@pytest.fixture
def others(cells: dict[str, ad.AnnData]) -> ad.AnnData:
    return sct.pp.stack_cell_types({name: cells[name] for name in "BC"})


def test_prediction_is_the_mean_of_the_other_cell_types(cells: dict[str, ad.AnnData], others: ad.AnnData):
    shuffled = cells["A"][np.random.default_rng(1).permutation(400)].copy()
    shuffled.obs[["label", "expression"]] = [None, np.nan]
    found = evaluation.same_gene_mean(shuffled, others)
    expected = sum(np.log10(cells[name][shuffled.obs_names].obs["expression"] + 0.1) for name in "BC") / 2
    np.testing.assert_allclose(found["log_expression"], expected)
    order = found.sort_values("log_expression")["probability"]
    assert order.is_monotonic_increasing


def test_a_constant_level_of_each_gene_is_predicted(cells: dict[str, ad.AnnData], others: ad.AnnData):
    found = evaluation.same_gene_mean(cells["A"], others)
    scores = evaluation.evaluate(cells["A"], found, splits=["train"], n_bootstrap=0)
    scores = scores.set_index("metric")["value"]
    assert scores["AUROC"] > 0.95
    assert scores["Pearson"] > 0.9
    assert scores["ECE"] < 0.1


def test_genes_that_others_lack_are_counted(cells: dict[str, ad.AnnData], caplog: pytest.LogCaptureFixture):
    others = sct.pp.stack_cell_types({name: cells[name][:300].copy() for name in "BC"})
    with caplog.at_level(logging.INFO):
        found = evaluation.same_gene_mean(cells["A"], others)
    assert "100 of 400 genes" in caplog.text
    assert found.isna().all(axis=1).tolist() == [False] * 300 + [True] * 100


def test_own_cell_type_among_the_others_is_refused(cells: dict[str, ad.AnnData], others: ad.AnnData):
    own = cells["A"].copy()
    own.obs["cell_type"] = "B"
    with pytest.raises(ValueError, match="adata holds B"):
        evaluation.same_gene_mean(own, others)


def test_one_other_cell_type_is_refused(cells: dict[str, ad.AnnData], others: ad.AnnData):
    with pytest.raises(ValueError, match="cell types B; expected two"):
        evaluation.same_gene_mean(cells["A"], others[:400])


def test_other_gene_ids_are_refused(cells: dict[str, ad.AnnData], others: ad.AnnData):
    without = others[[f"{gene}:{cell}" for cell in "BC" for gene in cells["A"].obs_names[200:]]].copy()
    with pytest.raises(ValueError, match="none of the 200"):
        evaluation.same_gene_mean(cells["A"][:200].copy(), without)


def test_labels_of_one_class_are_refused(cells: dict[str, ad.AnnData], others: ad.AnnData):
    others.obs["label"] = "low"
    with pytest.raises(ValueError, match="one class"):
        evaluation.same_gene_mean(cells["A"], others)


def test_samples_are_other_cell_types():
    adata = sct.datasets.simulate_conditions(150, n_replicates=2)
    own, others = adata[adata.obs["sample"] == "A1"].copy(), adata[adata.obs["sample"] != "A1"].copy()
    sct.pp.split_by_chromosome(own)
    table = evaluation.same_gene_mean(own, others)
    logs = sct.pp.log_expression(others.obs["expression"].to_numpy()).reshape(3, 150)
    np.testing.assert_allclose(table["log_expression"], logs.mean(axis=0))
    with pytest.raises(ValueError, match="adata holds A1 as well"):
        evaluation.same_gene_mean(own, adata)

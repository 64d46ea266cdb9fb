"""Groups of genes on which models are scored."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import prepared

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad


def with_reference(expression: np.ndarray) -> ad.AnnData:
    """Simulated genes whose first ones have this expression in the reference samples, and the others 5 in all."""
    adata = prepared()
    table = np.full((adata.n_obs, expression.shape[1]), 5.0)
    table[: len(expression)] = expression
    adata.obsm["reference_expression"] = np.log10(table + 0.1).astype(np.float32)
    return adata


def test_tau_of_known_profiles():
    only_one, even, half = [100, 0, 0, 0], [7, 7, 7, 7], [np.e**2 - 1, np.e - 1, np.e - 1, np.e - 1]
    adata = with_reference(np.array([only_one, even, half]))
    sct.pp.gene_strata(adata)
    np.testing.assert_allclose(adata.obs["tau"].iloc[:3], [1, 0, 0.5], atol=1e-5)
    assert adata.obs["specificity"].iloc[:3].tolist() == ["high", "low", "medium"]
    assert adata.uns["gene_strata"]["tau_cuts"] == [0.4, 0.8]


def test_tau_is_over_the_samples_that_have_the_gene():
    adata = with_reference(np.array([[50, 0, np.nan, 0], [50, np.nan, np.nan, np.nan]]))
    sct.pp.gene_strata(adata)
    assert adata.obs["tau"].iloc[0] == pytest.approx(1, abs=1e-5)
    assert np.isnan(adata.obs["tau"].iloc[1])


def test_genes_without_expression_have_no_tau(caplog: pytest.LogCaptureFixture):
    adata = with_reference(np.array([[0, 0, 0], [1, 0, 0.5], [np.nan] * 3]))
    with caplog.at_level(logging.INFO):
        sct.pp.gene_strata(adata)
    assert adata.obs["specificity"].isna().tolist() == [True] * 3 + [False] * (adata.n_obs - 3)
    assert "3 unknown" in caplog.text


def test_expression_of_zero():
    adata = prepared()
    adata.obs.loc[adata.obs_names[:3], "expression"] = [0.0, 0.01, np.nan]
    sct.pp.gene_strata(adata)
    assert adata.obs["expressed"].iloc[:2].tolist() == ["zero", "above zero"]
    assert adata.obs["expressed"].isna().iloc[2]


def test_bivalent_genes_have_both_marks_as_in_the_states():
    adata = prepared()
    sct.pp.gene_strata(adata)
    sct.tl.name_states(adata, groupby=None)
    has = adata.obsm["mark_presence"]
    np.testing.assert_array_equal(adata.obs["bivalent"] == "bivalent", has["H3K4me3"] & has["H3K27me3"])
    assert 0 < (adata.obs["bivalent"] == "bivalent").sum() < adata.n_obs


def test_distance_to_the_next_tss():
    adata = prepared()[:8].copy()
    adata.obs["chrom"] = ["chr1"] * 7 + ["chr2"]
    adata.obs["tss"] = [500_000, 0, 999, 1_500, 500_000, 650_000, 40_000, 5]
    sct.pp.gene_strata(adata)
    found = adata.obs["next_tss"].astype(object).tolist()
    expected = ["below 1 kb"] * 5 + ["above 100 kb", "10 to 100 kb"]
    assert found[:7] == expected
    assert pd.isna(found[7])


def test_the_next_tss_is_of_the_same_cell_type():
    parts = {cell: prepared(method=None) for cell in "AB"}
    alone = parts["A"].copy()
    stacked = sct.pp.stack_cell_types(parts)
    sct.pp.gene_strata(stacked)
    sct.pp.gene_strata(alone)
    assert stacked.obs["next_tss"].tolist() == alone.obs["next_tss"].tolist() * 2


def test_columns_without_source_are_named_and_removed(caplog: pytest.LogCaptureFixture):
    adata = with_reference(np.ones((3, 2)))
    sct.pp.gene_strata(adata)
    del adata.obsm["reference_expression"]
    with caplog.at_level(logging.INFO):
        sct.pp.gene_strata(adata)
    assert "tau" not in adata.obs
    assert "Not written, since the data lack their source: tau, specificity" in caplog.text
    assert adata.uns["gene_strata"]["columns"] == ["expressed", "bivalent", "next_tss"]


def test_strata_can_be_scored():
    adata = prepared()
    sct.pp.gene_strata(adata)
    log = sct.pp.log_expression(adata.obs["expression"])
    table = sct.evaluation.evaluate(
        adata, pd.DataFrame({"log_expression": log}, index=adata.obs_names), groupby="bivalent", n_bootstrap=0
    )
    assert set(table["bivalent"]) == {"bivalent", "other"}
    assert table.groupby("bivalent", observed=True)["n"].max().sum() <= adata.n_obs


def test_copy_leaves_the_data():
    adata = prepared()
    copy = sct.pp.gene_strata(adata, copy=True)
    assert "next_tss" in copy.obs
    assert "next_tss" not in adata.obs


def test_strata_are_stored_in_files(tmp_path):
    adata = with_reference(np.ones((3, 2)))
    sct.pp.gene_strata(adata)
    adata.write_h5ad(tmp_path / "genes.h5ad")


def test_one_reference_sample_is_refused():
    with pytest.raises(ValueError, match="one sample"):
        sct.pp.gene_strata(with_reference(np.ones((3, 1))))


def test_another_reference_must_be_there():
    with pytest.raises(ValueError, match="no 'gtex'"):
        sct.pp.gene_strata(prepared(), reference_key="gtex")


def test_nothing_to_group_by_is_refused():
    adata = prepared()
    adata = adata[:, adata.var["mark"] == "H3K4me3"].copy()
    adata.obs = adata.obs[["split"]]
    with pytest.raises(ValueError, match="expected one of them"):
        sct.pp.gene_strata(adata)

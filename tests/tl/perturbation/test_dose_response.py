"""Predictions for genes with a mark scaled by several factors."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from builders import assert_same_table
from hand_edits import GENE, K4, K36, columns, neighbors_of

import simplechrome_tk as sct
from simplechrome_tk.tl import Edit
from simplechrome_tk.tl.perturbation import _predict


def dose_response(adata, model, mark, **kwargs) -> pd.DataFrame:
    return sct.tl.dose_response(adata, model, mark, copy=True, **kwargs).uns["dose_response"]


def test_one_row_per_gene_and_factor(adata, among):
    genes = adata.obs_names[:6]
    table = dose_response(adata, among, K4, genes=genes, region="tss")
    assert table["gene"].tolist() == np.repeat(genes, 9).tolist()
    assert table["factor"].iloc[:9].tolist() == np.linspace(0, 2, 9).tolist()
    assert table.columns.tolist() == ["gene", "symbol", "mark", "factor", "probability", "log_odds", "log_expression"]


def test_curves_begin_at_removal_and_pass_through_the_prediction(adata, among):
    genes = adata.obs_names[:6]
    at = dose_response(adata, among, K4, genes=genes, region="tss").set_index("factor")
    predicted = among.predict(adata).loc[genes, "log_expression"]
    np.testing.assert_allclose(at.loc[1, "log_expression"], predicted, atol=1e-5, rtol=0)
    sct.tl.perturb(adata, among, Edit.remove(mark=K4, region="tss"), genes=genes)
    removed = adata.uns["perturb"]["probability_after"]
    np.testing.assert_allclose(at.loc[0, "probability"], removed, atol=1e-6, rtol=0)


def test_log_odds_are_those_of_the_probability(adata, among):
    table = dose_response(adata, among, K4, genes=adata.obs_names[:6])
    log_odds = np.log(table["probability"] / (1 - table["probability"]))
    np.testing.assert_allclose(table["log_odds"], log_odds, atol=1e-4)


def test_genes_without_the_mark_have_flat_curves_and_are_counted(adata, among, caplog):
    caplog.set_level(logging.INFO)
    sct.tl.apply_edits(adata, Edit.remove(mark=K4, region="tss"), genes=adata.obs_names[0])
    table = dose_response(adata, among, K4, genes=adata.obs_names[:2], region="tss")
    assert table.groupby("gene", sort=False)["log_expression"].nunique().tolist() == [1, 9]
    assert f"1 of 2 genes have no {K4}" in caplog.text


def test_edits_are_made_before_at_every_factor(adata, among):
    gene = adata.obs_names[GENE]
    first = [Edit.scale(3, mark=K36), Edit.remove(on="neighbors")]
    table = dose_response(adata, among, K4, factors=[0, 0.5, 1], genes=gene, region="tss", edits=first)
    for factor, expression in zip(table["factor"], table["log_expression"], strict=True):
        sct.tl.perturb(adata, among, [*first, Edit.scale(factor, mark=K4, region="tss")], genes=gene)
        assert expression == pytest.approx(adata.uns["perturb"]["log_expression_after"].iloc[0], abs=1e-5)


def test_all_marks_of_a_neighbour_are_scaled_together(adata, among):
    gene, neighbor = adata.obs_names[GENE], str(adata.obs_names[neighbors_of(adata, GENE)[0]])
    table = dose_response(adata, among, None, factors=[0], genes=gene, on=neighbor)
    sct.tl.perturb(adata, among, Edit.remove(on=neighbor), genes=gene)
    expected = adata.uns["perturb"]["log_expression_after"].iloc[0]
    assert table["log_expression"].tolist() == pytest.approx([expected], abs=1e-5)
    assert table["mark"].tolist() == ["all marks"]


def test_chunks_and_the_order_of_genes_change_nothing(adata, among, monkeypatch):
    order = np.random.default_rng(0).permutation(adata.n_obs)
    genes = adata.obs_names[order]
    whole = dose_response(adata, among, K36, genes=genes, factors=[0.5, 1])
    monkeypatch.setattr(_predict, "_CHUNK", 64)
    chunked = dose_response(adata, among, K36, genes=genes, factors=[0.5, 1], progress=False)
    pd.testing.assert_frame_equal(chunked, whole, atol=1e-5)
    assert chunked["gene"].tolist() == np.repeat(genes, 2).tolist()


def test_the_result_is_stored_and_survives_a_file(adata, alone, round_trip):
    assert sct.tl.dose_response(adata, alone, K4, genes=adata.obs_names[:3]) is None
    stored = adata.uns["dose_response"]
    assert_same_table(round_trip(adata).uns["dose_response"], stored)


@pytest.mark.parametrize("factors", [[], [[1, 2]]])
def test_factors_are_a_list_of_numbers(adata, alone, factors):
    with pytest.raises(ValueError, match="factors has shape"):
        dose_response(adata, alone, K4, factors=factors)


def test_factors_are_not_negative(adata, alone):
    with pytest.raises(ValueError, match="factor is -1"):
        dose_response(adata, alone, K4, factors=[-1, 1])


def test_neighbours_of_a_model_without_any_are_refused(adata, alone):
    with pytest.raises(ValueError, match="neighbors_key"):
        dose_response(adata, alone, K4, on="neighbors")


def test_the_mark_is_scaled_in_its_region_alone(adata, alone):
    silent = sct.tl.apply_edits(adata, Edit.remove(mark=K4, region="body"), genes=adata.obs_names[GENE], copy=True)
    assert not silent.layers["signal"][GENE, columns(adata, K4, "body")].any()
    table = dose_response(silent, alone, K4, genes=adata.obs_names[GENE], region="body")
    assert table["log_expression"].nunique() == 1

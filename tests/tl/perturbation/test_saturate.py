"""In-silico mutagenesis: one perturbation per bin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from builders import assert_same_table
from hand_edits import GENE, K4, K27, K36, neighbors_of

import simplechrome_tk as sct
from simplechrome_tk.tl import Edit
from simplechrome_tk.tl.perturbation import _saturate

CHANGES = ["log_odds_change", "log_expression_change"]


def saturate(adata, model, genes, **kwargs) -> pd.DataFrame:
    return sct.tl.saturate(adata, model, genes, copy=True, **kwargs).uns["saturate"]


def choose(adata, on: str) -> str:
    """Return ``on``, with the id of a neighbour in place of ``"one"``."""
    return str(adata.obs_names[neighbors_of(adata, GENE)[2]]) if on == "one" else on


@pytest.mark.parametrize("on", ["gene", "neighbors", "one"])
def test_each_bin_is_a_perturbation_of_its_own(adata, among, on):
    gene, on = adata.obs_names[GENE], choose(adata, on)
    scanned = saturate(adata, among, gene, edit=Edit.scale(0.2, on=on), width=3).set_index(["mark", "region", "bin"])
    assert len(scanned) == adata.n_vars
    for mark, region, bin_number, start, end in (
        (K4, "tss", 50, -100, 200),
        (K36, "body", 0, 0, 0.1),
        (K27, "tss", 99, 4_800, 5_000),
    ):
        edit = Edit.scale(0.2, mark=mark, region=region, start=start, end=end, on=on)
        sct.tl.perturb(adata, among, edit, genes=gene)
        found = scanned.loc[(mark, region, bin_number), CHANGES].to_numpy(float)
        np.testing.assert_allclose(found, adata.uns["perturb"][CHANGES].iloc[0], atol=1e-5)


@pytest.mark.parametrize("on", ["gene", "neighbors"])
def test_signal_is_that_before_the_edit(adata, among, on):
    rows = [GENE] if on == "gene" else neighbors_of(adata, GENE)
    table = saturate(adata, among, adata.obs_names[GENE], edit=Edit.remove(on=on))
    np.testing.assert_allclose(table["signal"], adata.layers["signal"][rows].mean(axis=0), rtol=1e-5)


def test_several_genes_give_what_each_gives_by_itself(adata, among, monkeypatch):
    genes = adata.obs_names[[40, 3, 111]]
    together = saturate(adata, among, genes, progress=False)
    monkeypatch.setattr(_saturate, "_BATCH", 1)
    single = pd.concat([saturate(adata, among, gene) for gene in genes])
    assert together["gene"].astype(str).tolist() == np.repeat(genes, adata.n_vars).tolist()
    for value in (*CHANGES, "signal"):
        np.testing.assert_allclose(together[value], single[value], atol=1e-5)


def test_changes_are_exactly_0_where_there_is_no_signal_to_remove(adata, among):
    table = saturate(adata, among, adata.obs_names[40])
    empty = table["signal"] == 0
    assert empty.any()
    assert not table.loc[empty, CHANGES].to_numpy().any()
    assert table.loc[~empty, "log_odds_change"].ne(0).mean() > 0.9


def test_bins_are_those_of_the_data(adata, alone):
    table = saturate(adata, alone, adata.obs_names[[40, 3]], progress=False)
    assert table["start_bp"].tolist() == np.tile(adata.var["start_bp"], 2).tolist()


def test_the_scan_keeps_to_mark_and_positions(adata, alone):
    gene = adata.obs_names[GENE]
    part = saturate(adata, alone, gene, edit=Edit.set(20, mark=K36, region="tss", start=0, end=1_000))
    assert set(part["mark"]) == {K36}
    assert part["start_bp"].tolist() == np.arange(0, 1_000, 100).tolist()
    whole = saturate(adata, alone, gene, edit=Edit.set(20, mark=K36, region="tss"))
    inside = whole[whole["start_bp"].between(0, 900)]
    np.testing.assert_allclose(part["log_odds_change"], inside["log_odds_change"], atol=1e-5)


def test_genes_without_neighbours_stay_unchanged(adata, among):
    for slot in ("tss_connectivities", "tss_distances"):
        matrix = adata.obsp[slot].tolil()
        matrix[GENE] = 0
        adata.obsp[slot] = matrix.tocsr()
    genes = adata.obs_names[[GENE, 3]]
    table = saturate(adata, among, genes, edit=Edit.remove(on="neighbors"), progress=False)
    changed = table["log_expression_change"].ne(0).groupby(table["gene"], observed=True).any()
    assert changed.loc[genes].tolist() == [False, True]


def test_the_result_is_stored_and_survives_a_file(adata, alone, round_trip):
    assert sct.tl.saturate(adata, alone, adata.obs_names[:2], progress=False) is None
    stored = adata.uns["saturate"]
    assert_same_table(round_trip(adata).uns["saturate"], stored)


def test_a_window_has_one_bin_at_least(adata, alone):
    with pytest.raises(ValueError, match="width is 0"):
        saturate(adata, alone, adata.obs_names[GENE], width=0)


def test_edits_that_move_signal_are_refused(adata, alone):
    with pytest.raises(ValueError, match="the edit is a shift"):
        saturate(adata, alone, adata.obs_names[GENE], edit=Edit.shift(100, region="tss"))

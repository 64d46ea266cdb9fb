"""Names as people give them: cell types and marks with slashes, dots, blanks and letters of any script."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

import simplechrome_tk as sct
from simplechrome_tk.core import keys as k

if TYPE_CHECKING:
    import anndata as ad

ODD_NAMES = ["CD4+/CD25-", "a/b/c", "/", ".", "..", "", " ", "100 %", "%2F", "50%/x", "naïve Zelle β", "E116", "a x b"]


@pytest.fixture(scope="module")
def simulated() -> ad.AnnData:
    return sct.datasets.simulate(200)


def renamed(adata: ad.AnnData, *, cell: str = "cell", marks: dict[str, str] | None = None) -> ad.AnnData:
    """Return the same data with other names for the cell type and for marks."""
    other = adata.copy()
    other.obs[k.CELL_TYPE] = pd.Categorical([cell] * other.n_obs)
    other.var[k.MARK] = other.var[k.MARK].cat.rename_categories(marks or {})
    del other.uns["simulate"], other.var["planted_effect"], other.obsp["planted_neighbor_effects"]
    return other


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_column_leads_back_to_its_name(name):
    column = k.as_column(name)
    assert k.from_column(column) == name
    assert column.strip(".")
    assert "/" not in column


def test_columns_of_different_names_differ_and_plain_names_stay():
    assert len({k.as_column(name) for name in ODD_NAMES}) == len(ODD_NAMES)
    assert k.as_column("H3K4me3") == "H3K4me3"
    assert k.as_column("H2A.Z") == "H2A.Z"


@pytest.mark.parametrize("cell", ODD_NAMES)
def test_the_audit_of_a_subset_finds_the_median_of_all_genes(simulated, cell, round_trip):
    adata = renamed(simulated, cell=cell)
    sct.pp.label_expression(adata)
    some = adata[adata.obs[k.EXPRESSION] > adata.obs[k.EXPRESSION].quantile(0.3)].copy()
    found = sct.deepchrome.audit_labels(round_trip(some))
    assert found.rule == "median"
    assert found.rules["disagree"][0] == 0
    assert found.rules["threshold"][0] == pytest.approx(np.median(adata.obs[k.EXPRESSION]))


def test_a_stack_keeps_the_median_of_each_cell_type(simulated, round_trip):
    low, high = renamed(simulated), renamed(simulated)
    high.obs[k.EXPRESSION] *= 7
    for part in (low, high):
        sct.pp.label_expression(part)
    both = round_trip(sct.pp.stack_cell_types({"T/B": low, "": high}))
    thresholds = both.uns["label_expression"]["thresholds"]["threshold"]
    assert thresholds.index.tolist() == ["T/B", ""]
    assert thresholds.iloc[1] == pytest.approx(7 * thresholds.iloc[0])
    for cell in ("T/B", ""):
        genes = both[both.obs[k.CELL_TYPE] == cell]
        assert sct.deepchrome.audit_labels(genes[:40].copy()).rules["threshold"].eq(thresholds[cell]).any()


def test_a_stack_of_two_rules_keeps_neither(simulated):
    by_median, by_number = renamed(simulated), renamed(simulated)
    sct.pp.label_expression(by_median)
    sct.pp.label_expression(by_number, threshold=1.0)
    stacked = sct.pp.stack_cell_types({"A": by_median, "B": by_number})
    assert "thresholds" not in stacked.uns["label_expression"]


@pytest.mark.parametrize("method", ["quantile", "log1p", "paper"])
def test_a_stored_reference_normalises_as_before(simulated, method, round_trip):
    marks = {"H3K4me3": "H3K4me3/rep1", "H3K27me3": ".", "H3K36me3": "", "H3K9me3": "β 9"}
    part = renamed(simulated, marks=marks)
    part.var_names = [f"{mark}:{n}" for n, mark in enumerate(part.var[k.MARK].astype(str))]
    both = sct.pp.stack_cell_types({"CD4+/CD25-": part, "": part})
    sct.pp.split_by_chromosome(both)
    fitted = sct.pp.normalize(both, method=method, copy=True)
    again = round_trip(fitted)
    assert both.var[k.MARK].astype(str).tolist() == again.var[k.MARK].astype(str).tolist()
    used = sct.pp.normalize(both, reference=again.uns["normalize"], copy=True)
    np.testing.assert_array_equal(used.X, fitted.X)
    assert again.uns["split"]["counts"] == fitted.uns["split"]["counts"]


def test_states_and_their_table_are_as_before(simulated, round_trip):
    odd = dict(zip(["H3K9me3", "H3K4me1"], ["H3K9me3/rep1", "100 %"], strict=True))
    adata = renamed(simulated, cell="a/b", marks=odd)
    sct.tl.name_states(adata, groupby=None)
    before = sct.get.states(adata)
    again = round_trip(adata)
    pd.testing.assert_frame_equal(sct.get.states(again), before)
    thresholds = again.uns["state"]["thresholds"]
    assert list(thresholds) == ["cell_type", "mark", "threshold"]
    assert set(thresholds["cell_type"]) == {"a/b"}


def test_interactions_of_odd_marks_are_as_before(simulated, round_trip):
    plain = list(simulated.var[k.MARK].cat.categories)
    odd = dict(zip(plain, ["H3K4me3/rep1", "", "a x b", "%2F", "."], strict=True))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(simulated.n_vars, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    usual, other = renamed(simulated), renamed(simulated, marks=odd)
    for adata in (usual, other):
        adata.X = np.log1p(adata.X)
        sct.tl.interactions(adata, torch.nn.Sequential(network, torch.nn.Flatten(0)), progress=False)
    found = sct.get.interactions(round_trip(other))
    expected = sct.get.interactions(usual).replace({"first": odd, "second": odd})
    assert set(expected["first"]) | set(expected["second"]) == set(odd.values())
    pd.testing.assert_frame_equal(found, expected)

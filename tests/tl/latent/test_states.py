"""Names of chromatin states."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct
from simplechrome_tk.core.levels import otsu

if TYPE_CHECKING:
    import anndata as ad


WINDOWS = [
    sct.pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8),
    sct.pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=4),
]


def test_otsu_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 1, 70), rng.normal(4, 1, 30)])
    cuts = np.sort(values)[:-1]
    within = [sum(part.var() * len(part) for part in (values[values <= cut], values[values > cut])) for cut in cuts]
    best = cuts[int(np.argmin(within))]
    assert ((values > otsu(values)) == (values > best)).all()
    assert (np.ones(5) > otsu(np.ones(5))).sum() == 0


MARKS = ["H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3"]
STATES = {
    "active promoter, transcribed": ("H3K4me3", "H3K36me3"),
    "bivalent": ("H3K4me3", "H3K27me3"),
    "active promoter": ("H3K4me3", "H3K4me1"),
    "transcribed": ("H3K36me3",),
    "Polycomb": ("H3K27me3",),
    "heterochromatin": ("H3K9me3",),
    "enhancer-like": ("H3K4me1",),
    "quiescent": (),
}


def planted(n: int = 20) -> ad.AnnData:
    """As many genes of each state, with the marks that make it everywhere."""
    adata = sct.datasets.simulate(n * len(STATES), windows=WINDOWS)
    truth = np.repeat(list(STATES), n)
    has = np.array([[mark in STATES[state] for mark in adata.var["mark"]] for state in truth])
    adata.X = (has * np.random.default_rng(0).gamma(20, 1, has.shape) + 0.01).astype(np.float32)
    adata.obs["truth"] = pd.Categorical(truth)
    return adata


def test_states_that_no_gene_has_are_no_categories():
    adata = planted()
    adata = adata[adata.obs["truth"].isin(["bivalent", "quiescent", "transcribed"])].copy()
    sct.tl.name_states(adata, groupby="truth")
    named = list(adata.obs["state"].cat.categories)
    assert named == [name for name in STATES if name in set(adata.obs["state"])]
    assert len(named) < len(STATES)


@pytest.mark.parametrize("groupby", ["truth", None])
def test_planted_states_are_found_by_cluster_and_by_gene(groupby: str | None):
    adata = planted()
    sct.tl.name_states(adata, groupby=groupby, key_added="found")
    assert (adata.obs["found"].astype(str) == adata.obs["truth"].astype(str)).all()


def test_the_rule_is_stored_in_words():
    adata = planted()
    sct.tl.name_states(adata, groupby="truth")
    rule = adata.uns["state"]["rule"]
    assert "H3K4me3 within 1 kb of the TSS" in rule
    assert "H3K36me3 along the gene body" in rule
    assert "bivalent: H3K4me3 and H3K27me3" in rule


def test_states_are_described_by_their_marks():
    adata = planted()
    sct.tl.name_states(adata, groupby="truth")
    table = sct.get.states(adata).set_index(["state", "mark"])
    assert table.loc[("Polycomb", "H3K27me3"), "share"] == 1
    assert table.loc[("Polycomb", "H3K4me3"), "share"] == 0
    assert table.loc[("quiescent", "H3K4me1"), "level"] == pytest.approx(np.log1p(0.01), rel=1e-3)


def test_order_of_genes_changes_no_state():
    adata = planted()
    sct.tl.name_states(adata, groupby="truth")
    order = np.random.default_rng(1).permutation(adata.n_obs)
    moved = adata[order].copy()
    sct.tl.name_states(moved, groupby="truth")
    assert (moved.obs["state"] == adata.obs["state"].iloc[order]).all()


def test_each_cell_type_has_thresholds_of_its_own():
    weak = planted()
    weak.X *= 0.1
    both = sct.pp.stack_cell_types({"strong": planted(), "weak": weak})
    sct.tl.name_states(both, groupby=None)
    assert (both.obs["state"].astype(str) == both.obs["truth"].astype(str)).all()
    thresholds = both.uns["state"]["thresholds"].pivot(index="cell_type", columns="mark", values="threshold")
    assert (thresholds.loc["weak"] < thresholds.loc["strong"]).all()


def test_a_cluster_has_a_mark_when_half_of_its_genes_have_it(caplog):
    adata = planted()
    adata = adata[:, adata.var["mark"] != "H3K9me3"].copy()
    names = adata.obs["truth"].astype(str)
    mixed = pd.Series(np.where(names.isin(["Polycomb", "quiescent"]), "mixed", "rest"), index=adata.obs_names)
    mixed.iloc[0] = None
    adata.obs["cluster"] = mixed
    with caplog.at_level(logging.INFO):
        sct.tl.name_states(adata, groupby="cluster")
    assert "without H3K9me3" in caplog.text
    assert set(adata.obs["state"][adata.obs["cluster"] == "mixed"]) == {"Polycomb"}
    assert adata.obs["state"].isna().tolist() == [True] + [False] * (adata.n_obs - 1)


def test_states_need_clusters_and_marks():
    adata = planted()
    with pytest.raises(ValueError, match=r"no column 'simplechrome_leiden' .*sct.tl.embed"):
        sct.tl.name_states(adata)
    with pytest.raises(ValueError, match=r"sct.tl.name_states\(adata\)"):
        sct.get.states(adata, groupby="truth")
    adata.var["mark"] = adata.var["mark"].astype(str).map(lambda mark: f"{mark}x")
    with pytest.raises(ValueError, match="found marks H3K4me3x"):
        sct.tl.name_states(adata, groupby="truth")


def test_a_copy_leaves_the_data_as_they_were(state):
    adata = planted()
    before = state(adata)
    copied = sct.tl.name_states(adata, groupby="truth", copy=True)
    assert state(adata) == before
    assert "state" in copied.obs

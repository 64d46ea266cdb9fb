"""Genes that move between two cell types."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import prepared

import simplechrome_tk as sct
from simplechrome_tk.get._movement import state_changes

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture
def two_cells() -> ad.AnnData:
    """Two cell types with the same genes; latents, neighbours and states are made up."""
    both = sct.pp.stack_cell_types({"A": prepared(150, method=None), "B": prepared(150, method=None)})
    rng = np.random.default_rng(0)
    both.obsm["X_simplechrome"] = np.tile(rng.standard_normal((150, 3)), (2, 1)).astype(np.float32)
    del both.obs["split"]
    both.obs["state"] = pd.Categorical(np.tile(["Polycomb", "quiescent"], 150))
    return both


def test_movement_ranks_the_gene_that_moves_first(two_cells):
    two_cells.obsm["X_simplechrome"][157] += 3
    two_cells.obs.loc[two_cells.obs_names[157], "state"] = "Polycomb"
    two_cells.obs.loc[two_cells.obs_names[157], "expression"] = 9.9
    two_cells.obs.loc[two_cells.obs_names[7], "expression"] = 0.9
    table = sct.get.movement(two_cells, "A", "B")
    first = table.iloc[0]
    assert f"{table.index[0]}:B" == two_cells.obs_names[157]
    assert first["distance"] == pytest.approx(3 * np.sqrt(3), rel=1e-5)
    assert (first["from_state"], first["to_state"]) == ("quiescent", "Polycomb")
    assert first["log_expression_change"] == pytest.approx(1)
    assert (table["distance"].iloc[1:] == 0).all()
    changes = state_changes(two_cells, "A", "B")
    assert changes["n"].sum() == 150
    assert changes.iloc[0][["from_state", "to_state", "n", "changed"]].tolist() == ["quiescent", "Polycomb", 1, True]
    assert changes.iloc[0]["share"] == pytest.approx(1 / 75)
    back = sct.get.movement(two_cells, "B", "A")
    assert back.iloc[0]["log_expression_change"] == pytest.approx(-1)


def test_movement_says_what_it_leaves_out_and_refuses(two_cells, caplog):
    with caplog.at_level(logging.INFO):
        assert len(sct.get.movement(two_cells[:290].copy(), "A", "B")) == 140
    assert "10 genes are in one of A and B only" in caplog.text
    for pair in (("A", "C"), ("A", "A")):
        with pytest.raises(ValueError, match="two of A, B"):
            sct.get.movement(two_cells, *pair)
    disjoint = two_cells[75:225].copy()
    with pytest.raises(ValueError, match="no gene in common"):
        sct.get.movement(disjoint, "A", "B")
    del two_cells.obs["state"]
    with pytest.raises(ValueError, match=r"sct.tl.name_states\(adata\)"):
        sct.get.movement(two_cells, "A", "B")


def test_movement_compares_held_out_genes_where_there_is_a_split(two_cells, caplog):
    with caplog.at_level(logging.INFO):
        everything = sct.get.movement(two_cells, "A", "B")
    assert "no column 'split': all 300 genes are taken" in caplog.text
    two_cells.obs["split"] = np.tile(np.repeat(["train", "valid", "test"], [90, 40, 20]), 2)
    for splits, first, last in ((("test",), 130, 150), ("valid", 90, 130), (None, 0, 150)):
        table = sct.get.movement(two_cells, "A", "B", splits=splits)
        assert sorted(table.index) == sorted(name.removesuffix(":A") for name in two_cells.obs_names[first:last])
        assert state_changes(two_cells, "A", "B", splits=splits)["n"].sum() == last - first
    assert len(sct.get.movement(two_cells, "A", "B")) == 20
    assert len(everything) == 150
    two_cells.obs["split"] = np.repeat(["train", "test"], 150)
    two_cells.obs.iloc[0, two_cells.obs.columns.get_loc("split")] = "test"
    two_cells.obs.iloc[150, two_cells.obs.columns.get_loc("split")] = "train"
    with pytest.raises(ValueError, match=r"no gene in common among those of the splits test .* splits=None"):
        sct.get.movement(two_cells, "A", "B")
    two_cells.obs["split"] = "train"
    with pytest.raises(ValueError, match=r"no gene has obs\['split'\] in test; .* splits=None"):
        sct.get.movement(two_cells, "A", "B")
    with pytest.raises(ValueError, match=r"no column 'fold' .*split_by_chromosome"):
        sct.get.movement(two_cells, "A", "B", split_key="fold")


def test_samples_are_compared_like_cell_types():
    adata = sct.datasets.simulate_conditions(150, n_replicates=2, n_changed=15)
    adata.obsm["X_simplechrome"] = np.random.default_rng(0).standard_normal((600, 3)).astype(np.float32)
    adata.obs["state"] = "quiescent"
    adata.obs["cell_type"] = "K562"
    table = sct.get.movement(adata, "A2", "B1")
    assert len(table) == 150
    expected = sct.pp.log_expression(adata.obs["expression"].to_numpy())
    first = table.index[0]
    values = dict(zip(adata.obs_names, expected, strict=True))
    assert table["log_expression_change"].iloc[0] == pytest.approx(values[f"{first}:B1"] - values[f"{first}:A2"])
    with pytest.raises(ValueError, match="two of A1, A2, B1, B2"):
        sct.get.movement(adata, "A", "B")

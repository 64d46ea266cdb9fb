"""What the record of a graph says of it."""

from __future__ import annotations

import numpy as np
import pytest
from builders import prepared

import simplechrome_tk as sct
from simplechrome_tk.core.graph import is_by_position


@pytest.fixture
def adata():
    adata = prepared(150, n_neighbors=3)
    adata.obsm["reference_expression"] = np.random.default_rng(0).normal(size=(adata.n_obs, 6)).astype("float32")
    sct.pp.coexpression_neighbors(adata, n_neighbors=3)
    sct.pp.id_neighbors(adata, n_neighbors=2)
    sct.pp.tss_neighbors(adata, n_neighbors=2, key_added="hic")
    adata.uns["hic_neighbors"]["params"]["method"] = "contact_neighbors"
    return adata


@pytest.mark.parametrize(("name", "expected"), [("tss", True), ("hic", True), ("coexpression", False), ("id", False)])
def test_the_record_says_whether_a_graph_is_by_position(adata, name, expected, round_trip):
    assert is_by_position(adata, name) is expected
    assert is_by_position(round_trip(adata), name) is expected


@pytest.mark.parametrize("record", [None, "text", {}, {"params": "text"}, {"params": {}}])
def test_a_graph_of_another_tool_counts_as_one_of_genes_anywhere(adata, record):
    adata.uns["tss_neighbors"] = record
    assert not is_by_position(adata, "tss")
    del adata.uns["tss_neighbors"]
    assert not is_by_position(adata, "tss")

"""Effects of the neighbours' bins; tests/tl/attribution/test_attribute.py compares them with Captum's."""

from __future__ import annotations

import numpy as np
import pytest
from builders import prepared, trained

import simplechrome_tk as sct

QUIET = {"n_steps": 2, "progress": False}


def test_rows_are_pairs_of_a_gene_and_a_neighbour():
    adata, model = trained(300, n_neighbors=4)
    found = sct.get.neighbor_attributions(adata, model, adata.obs_names[[5, 6]], **QUIET)
    assert found.shape == (8, adata.n_vars)
    assert found.obs["gene"].tolist() == np.repeat(adata.obs_names[[5, 6]], 4).tolist()
    for name, pair in found.obs.iterrows():
        assert name == f"{pair['gene']}:{pair['neighbor']}"
        gene, neighbor = (adata.obs_names.get_loc(pair[column]) for column in ("gene", "neighbor"))
        assert pair["distance_bp"] == adata.obsp["tss_distances"][gene, neighbor]
        assert pair["weight"] == adata.obsp["tss_connectivities"][gene, neighbor]
    assert found.uns["attribution"]["baseline"] == "zero"


def test_a_model_without_neighbours_is_named():
    model = trained(300)[1]
    with pytest.raises(ValueError, match="neighbors_key='tss'"):
        sct.get.neighbor_attributions(prepared(300), model, "SIM0005", **QUIET)


def test_genes_without_neighbours_are_named():
    adata, model = trained(300, n_neighbors=4)
    for slot in ("tss_connectivities", "tss_distances"):
        matrix = adata.obsp[slot].tolil()
        matrix[5] = 0
        adata.obsp[slot] = matrix.tocsr()
    with pytest.raises(ValueError, match="none of the 1 genes has a neighbour in the graph 'tss'"):
        sct.get.neighbor_attributions(adata, model, adata.obs_names[5], **QUIET)

"""A few genes and their neighbours in an AnnData of their own."""

from __future__ import annotations

import numpy as np
import pytest
from builders import prepared, trained

from simplechrome_tk import get


def test_genes_are_predicted_as_among_all_genes():
    adata, model = trained(300, n_neighbors=4)
    genes = adata.obs_names[[7, 200, 8]]
    small = get.neighborhood(adata, genes, neighbors_key="tss")
    assert list(small.obs_names[:3]) == list(genes)
    neighbors = adata.obsp["tss_connectivities"][[7, 200, 8]].indices
    assert set(small.obs_names) == {*genes, *adata.obs_names[neighbors]}
    np.testing.assert_allclose(model.predict(small).iloc[:3], model.predict(adata).loc[genes], rtol=1e-4)


def test_only_the_genes_have_neighbours():
    adata = prepared(300, n_neighbors=4)
    small = get.neighborhood(adata, adata.obs_names[[7, 200, 8]], neighbors_key="tss")
    for slot in ("tss_connectivities", "tss_distances"):
        n_links = np.diff(small.obsp[slot].indptr)
        assert (n_links[:3] == 4).all()
        assert (n_links[3:] == 0).all()


def test_without_a_graph_it_is_the_genes_alone():
    small = get.neighborhood(prepared(300), ["SIM0005", "SIM0002"])
    assert list(small.obs["symbol"]) == ["SIM0005", "SIM0002"]


def test_a_missing_graph_is_named():
    with pytest.raises(ValueError, match="contacts_connectivities"):
        get.neighborhood(prepared(300), "SIM0005", neighbors_key="contacts")

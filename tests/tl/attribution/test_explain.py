"""A few genes in an AnnData of their own: what is said of them is what is said of them among all genes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk import get, tl


def _trained(task="both", neighbors_key="tss"):
    adata = sct.datasets.simulate(300)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    model = sct.SimpleChrome(adata, n_latent=4, neighbors_key=neighbors_key, task=task)
    model.train(latent_epochs=1, expression_epochs=2, neighbor_epochs=1, progress=False)
    return adata, model


@pytest.fixture(scope="module")
def _made():
    return _trained()


@pytest.fixture
def trained(_made):
    adata, model = _made
    return adata.copy(), model


def test_neighborhood_predicts_as_among_all_genes(trained):
    adata, model = trained
    genes = adata.obs_names[[7, 200, 8]]
    small = get.neighborhood(adata, genes, neighbors_key="tss")
    assert list(small.obs_names[:3]) == list(genes)
    heard = adata.obsp["tss_connectivities"][[7, 200, 8]].indices
    assert set(small.obs_names) == {*genes, *adata.obs_names[heard]}
    np.testing.assert_allclose(model.predict(small).iloc[:3], model.predict(adata).loc[genes], rtol=1e-4)
    assert (np.diff(small.obsp["tss_connectivities"].indptr)[3:] == 0).all()
    assert (np.diff(small.obsp["tss_distances"].indptr)[:3] == 4).all()


def test_neighborhood_of_no_graph_is_the_genes(trained):
    adata, _ = trained
    small = get.neighborhood(adata, ["SIM0005", "SIM0002"])
    assert list(small.obs["symbol"]) == ["SIM0005", "SIM0002"]
    with pytest.raises(ValueError, match="obsp has no contacts_connectivities"):
        get.neighborhood(adata, "SIM0005", neighbors_key="contacts")


def test_explain_is_attribute_without_a_trace(trained):
    adata, model = trained
    small = tl.explain(adata, model, ["SIM0007", "SIM0201"], n_steps=50)
    assert not {"attribution"} & {*adata.layers, *adata.uns}
    assert "attribution_total" not in adata.obs
    tl.attribute(adata, model, genes=["SIM0007", "SIM0201"], progress=False)
    genes = small.obs_names[:2]
    np.testing.assert_allclose(small[genes].layers["attribution"], adata[genes].layers["attribution"], atol=1e-5)
    few, among = (get.neighbor_effects(data).set_index(["symbol", "neighbor"])["effect"] for data in (small, adata))
    assert len(few) == 8
    np.testing.assert_allclose(few, among.loc[few.index], atol=1e-5)
    assert small.uns["attribution"]["computed"]
    assert np.isnan(small.layers["attribution"][2:]).all()


def test_explain_takes_what_is_there_and_of_this_model(trained):
    adata, model = trained
    tl.attribute(adata, model, genes="SIM0007", method="occlusion", by="mark", progress=False)
    there = tl.explain(adata, model, "SIM0007")
    assert not there.uns["attribution"]["computed"]
    assert there.uns["attribution"]["method"] == "occlusion"
    assert "computed" not in adata.uns["attribution"]
    other = tl.explain(adata, model, "SIM0008")
    assert other.uns["attribution"]["computed"]
    adata.obs["attribution_total"] += 0.5
    assert tl.explain(adata, model, "SIM0007").uns["attribution"]["computed"]


def test_explain_of_a_regression_is_of_expression():
    adata, model = _trained("regression", None)
    small = tl.explain(adata, model, "SIM0007")
    assert small.n_obs == 1
    assert small.uns["attribution"]["target"] == "log_expression"


def test_two_threads_explain_at_once(trained):
    adata, model = trained
    alone = tl.explain(adata, model, "SIM0007").layers["attribution"]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: tl.explain(adata, model, "SIM0007").layers["attribution"], range(8)))
    for layer in together:
        np.testing.assert_allclose(layer, alone, atol=1e-6)


def test_explain_needs_a_trained_model(trained):
    adata, _ = trained
    with pytest.raises(RuntimeError, match="not trained"):
        tl.explain(adata, sct.SimpleChrome(adata), "SIM0007")

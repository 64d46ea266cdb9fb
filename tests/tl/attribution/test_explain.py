"""Attributions of a few genes for the widgets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from builders import trained

import simplechrome_tk as sct
from simplechrome_tk.tl.attribution._explain import explain_genes

GENE = "SIM0007"


@pytest.fixture
def adata_and_model():
    return trained(300, n_neighbors=4)


def row_of_gene(adata) -> int:
    return adata.obs["symbol"].tolist().index(GENE)


def test_effects_are_those_of_attribute(adata_and_model):
    adata, model = adata_and_model
    small = explain_genes(adata, model, [GENE, "SIM0201"], n_steps=50)
    sct.tl.attribute(adata, model, genes=[GENE, "SIM0201"], progress=False)
    genes = small.obs_names[:2]
    np.testing.assert_allclose(small[genes].layers["attribution"], adata[genes].layers["attribution"], atol=1e-5)
    few, among = (sct.get.neighbor_effects(data).set_index(["symbol", "neighbor"])["effect"] for data in (small, adata))
    assert len(few) == 8
    np.testing.assert_allclose(few, among.loc[few.index], atol=1e-5)


def test_the_data_stay_as_they_are(adata_and_model, state):
    adata, model = adata_and_model
    before = state(adata)
    small = explain_genes(adata, model, GENE)
    assert state(adata) == before
    assert small.uns["attribution"]["computed"]
    assert np.isnan(small.layers["attribution"][1:]).all()


@pytest.mark.parametrize("baseline", ["zero", "low", "matched"])
def test_stored_attributions_of_this_model_are_taken(adata_and_model, baseline):
    adata, model = adata_and_model
    options = {"method": "occlusion", "by": "mark", "baseline": baseline, "progress": False}
    sct.tl.attribute(adata, model, genes=GENE, **options)
    small = explain_genes(adata, model, GENE)
    assert not small.uns["attribution"]["computed"]
    assert small.uns["attribution"]["method"] == "occlusion"
    np.testing.assert_array_equal(small.layers["attribution"][0], adata.layers["attribution"][row_of_gene(adata)])
    assert "computed" not in adata.uns["attribution"]


@pytest.mark.parametrize("target", ["latent:1", "log_expression"])
def test_stored_attributions_of_other_targets_are_taken(adata_and_model, target):
    adata, model = adata_and_model
    sct.tl.attribute(adata, model, genes=GENE, target=target, n_steps=2, progress=False)
    assert not explain_genes(adata, model, GENE).uns["attribution"]["computed"]


def test_stored_attributions_of_a_function_are_not_taken(adata_and_model):
    adata, model = adata_and_model
    sct.tl.attribute(adata, model, genes=GENE, target=lambda output: output.logit, n_steps=2, progress=False)
    assert explain_genes(adata, model, GENE).uns["attribution"]["computed"]


def test_genes_without_stored_attributions_are_computed(adata_and_model):
    adata, model = adata_and_model
    sct.tl.attribute(adata, model, genes=GENE, n_steps=2, progress=False)
    assert explain_genes(adata, model, "SIM0008").uns["attribution"]["computed"]


@pytest.mark.parametrize("baseline", ["zero", "matched"])
@pytest.mark.parametrize("changed", ["own marks", "marks of a neighbour", "graph"])
def test_attributions_of_other_inputs_are_computed_again(adata_and_model, baseline, changed):
    adata, model = adata_and_model
    sct.tl.attribute(adata, model, genes=GENE, baseline=baseline, n_steps=2, progress=False)
    if changed == "graph":
        sct.pp.tss_neighbors(adata, n_neighbors=3)
    else:
        row = row_of_gene(adata)
        neighbor = adata.obsp["tss_connectivities"][row].indices[0]
        adata.X[row if changed == "own marks" else neighbor] += 0.1
    assert explain_genes(adata, model, GENE).uns["attribution"]["computed"]


@pytest.mark.parametrize("baseline", ["zero", "matched"])
def test_attributions_of_another_model_are_computed_again(adata_and_model, baseline):
    adata, model = adata_and_model
    other = trained(300, n_neighbors=4, dropout=0.1)[1]
    sct.tl.attribute(adata, other, genes=GENE, baseline=baseline, n_steps=2, progress=False)
    assert explain_genes(adata, model, GENE).uns["attribution"]["computed"]


def test_a_regression_is_explained_by_its_expression():
    adata, model = trained(300, task="regression")
    small = explain_genes(adata, model, GENE)
    assert small.n_obs == 1
    assert small.uns["attribution"]["target"] == "log_expression"


def test_threads_may_explain_at_the_same_time(adata_and_model):
    adata, model = adata_and_model
    alone = explain_genes(adata, model, GENE).layers["attribution"]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: explain_genes(adata, model, GENE).layers["attribution"], range(8)))
    for layer in together:
        np.testing.assert_allclose(layer, alone, atol=1e-6)


def test_an_untrained_model_is_named(adata_and_model):
    adata, _ = adata_and_model
    with pytest.raises(RuntimeError, match=r"model\.train"):
        explain_genes(adata, sct.SimpleChrome(adata), GENE)

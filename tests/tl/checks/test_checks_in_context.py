"""Checks of attributions of models that read several graphs of related genes and reference samples."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from builders import in_context
from scipy import sparse
from sklearn.metrics import roc_auc_score

import simplechrome_tk as sct
from simplechrome_tk.tl.checks._sample import draw_sample
from simplechrome_tk.tl.checks._simulated_truth import score_pairs

PAIRS = "pairs with a simulated effect: AUROC of |effect|"
BRIEF = {"latent_epochs": 1, "expression_epochs": 1, "context_epochs": 1}


@functools.cache
def _attributed():
    adata, model = in_context()
    sct.tl.attribute(adata, model, genes=adata.obs_names[:96], n_steps=40, progress=False)
    return adata, model


@pytest.fixture
def attributed_and_model():
    """Genes of which 96 have attributions, and the model with a context that these are of."""
    adata, model = _attributed()
    return adata.copy(), model


@functools.cache
def _checked():
    adata, model = _attributed()
    data = sct.tl.check_attributions(adata, model, n_genes=32, retrain=True, training=BRIEF, copy=True)
    return data.uns["check_attributions"]["verdicts"].set_index("quantity")


def related(n_related=6):
    """Return simulated genes with related genes anywhere, and a model that reads these and the nearest genes."""
    window = sct.pp.Window("tss", anchor="tss", upstream=2_000, downstream=3_000, n_bins=5)
    adata = sct.datasets.simulate(400, n_related=n_related, windows=[window])
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=5)
    model = sct.SimpleChrome(adata, neighbors_key=("related", "tss"), n_latent=4, n_hidden=16, device="cpu")
    model.train(**BRIEF, progress=False)
    sct.tl.attribute(adata, model, genes=adata.obs_names[:200], n_steps=3, progress=False)
    return adata, model


def test_every_check_is_made():
    table = _checked()
    tested = table.loc[table["verdict"] != "not tested", "check"].unique().tolist()
    assert tested == [
        "completeness", "weights", "labels", "seeds", "methods", "deletion", "insertion", "simulated truth",
    ]  # fmt: skip


def test_effects_are_complete():
    assert set(_checked().loc[_checked()["check"] == "completeness", "verdict"]) == {"passed"}


def test_deletion_keeps_related_genes_and_the_reference(attributed_and_model):
    """Where no bin is deleted the prediction is that of the model, and where all are, that without own marks."""
    adata, model = attributed_and_model
    sct.tl.check_attributions(adata, model, genes=adata.obs_names[:16], n_genes=16, n_random=1)
    curves = adata.uns["check_attributions"]["curves"]
    deletion = curves[(curves["curve"] == "deletion") & (curves["order"] == "effects")].set_index("fraction")
    probability = model.predict(adata)["probability"].iloc[:16].to_numpy(float)
    expected = np.log(probability / (1 - probability)).mean()
    assert deletion.loc[0.0, "prediction"] == pytest.approx(expected, abs=1e-3)


def test_biology_is_checked(attributed_and_model):
    adata, model = attributed_and_model
    sct.tl.check_biology(adata, model, n_genes=20)
    table = adata.uns["check_biology"]
    assert set(table.loc[table["verdict"] != "not tested", "test"]) == {"position", "sign", "dose response"}


def test_a_model_that_reads_other_graphs_is_no_control(attributed_and_model):
    adata, model = attributed_and_model
    other = sct.SimpleChrome(adata, neighbors_key="tss", n_latent=4, n_hidden=16, device="cpu")
    other.train(**BRIEF, progress=False)
    with pytest.raises(ValueError, match=r"neighbors_key='tss'; expected \('coexpression', 'tss'\)"):
        sct.tl.check_attributions(adata, model, n_genes=16, permuted=other)


def test_pairs_are_compared_with_the_weight_of_a_graph_or_nearness_in_one_by_position():
    reason = _checked().loc[PAIRS, "reason"]
    assert "; the weight in the graph 'coexpression' alone reaches 0." in reason
    assert "; nearness in the graph 'tss' alone reaches 0." in reason


def test_what_each_graph_alone_says_is_its_own_auroc():
    adata, model = related()
    options = {"key": "attribution", "genes": None, "target": None, "baseline": None}
    sample = draw_sample(model, adata, n_genes=200, batch_size=64, rng=np.random.default_rng(0), **options)
    found = score_pairs(sample).alone
    assert list(found) == ["the weight in the graph 'related'", "nearness in the graph 'tss'"]
    weights, near = (sparse.csr_matrix(adata.obsp[f"{name}_connectivities"]) for name in ("related", "tss"))
    distances = sparse.csr_matrix(adata.obsp["tss_distances"])
    gene, neighbor = ((weights + near) != 0).nonzero()
    mark, truth = adata.uns["simulate"]["neighbor"]["mark"], adata.obsp["planted_neighbor_effects"].tocsr()
    columns = ((adata.var["planted_effect"] != 0) & (adata.var["mark"] == mark)).to_numpy()
    level = np.log1p(adata.layers["signal"][:, columns]).mean(axis=1)
    kept = np.isin(gene, sample.rows) & (level[neighbor] > adata.uns["simulate"]["neighbor"]["center"])
    at = gene[kept], neighbor[kept]
    acts = np.asarray(truth[at]).ravel() != 0
    assert found["the weight in the graph 'related'"] == pytest.approx(
        roc_auc_score(acts, np.asarray(weights[at]).ravel())
    )
    linked = np.asarray(near[at]).ravel() != 0
    nearness = np.where(linked, -np.abs(np.asarray(distances[at]).ravel()), -np.inf)
    ranks = np.unique(nearness, return_inverse=True)[1]
    assert found["nearness in the graph 'tss'"] == pytest.approx(roc_auc_score(acts, ranks), abs=1e-3)


def test_control_networks_read_the_context(attributed_and_model):
    """Random weights give other effects of the reference, so that nothing of the model is left in the control."""
    from simplechrome_tk.tl.checks._control_networks import randomize_weights

    _, model = attributed_and_model
    net = model.module.networks[0]
    other = randomize_weights([net], 0)[0]
    for name, weights in other.named_parameters():
        own = dict(net.named_parameters())[name]
        assert not own.abs().sum() or not torch.equal(weights, own), name

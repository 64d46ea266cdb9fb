"""Attributions of models that read several graphs of related genes and reference samples."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from builders import in_context, without_signal

import simplechrome_tk as sct
from simplechrome_tk.tl.attribution import _attribute
from simplechrome_tk.tl.attribution._explain import explain_genes

KEY = "reference_expression"
PARTS = ["own_marks", "related_genes", "reference"]
FEW = {"n_steps": 5, "progress": False}


@pytest.fixture(scope="module")
def model() -> sct.SimpleChrome:
    return in_context()[1]


@pytest.fixture
def adata():
    return in_context()[0]


def log_odds(model, adata):
    probability = model.predict(adata)["probability"].to_numpy(float)
    return np.log(probability / (1 - probability))


def at_baseline(adata, model):
    """Return the same genes without signal, whose expression is that of the average gene in all reference samples."""
    silent = without_signal(adata, model)
    # A gene without reference expression is read as the average gene.
    silent.obsm[KEY] = np.full_like(silent.obsm[KEY], np.nan)
    return silent


def with_other_reference(adata, rows):
    other = adata.copy()
    other.obsm[KEY] = other.obsm[KEY].copy()
    other.obsm[KEY][rows] += 1
    return other


# completeness


def test_own_marks_related_genes_and_reference_sum_to_the_difference_from_the_baseline(adata, model):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:12], n_steps=200, progress=False)
    table = sct.get.attribution_shares(adata)
    expected = (log_odds(model, adata) - log_odds(model, at_baseline(adata, model)))[:12]
    np.testing.assert_allclose(table["total"], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(table[PARTS].sum(axis=1), expected, rtol=1e-3, atol=1e-3)
    assert (table[PARTS].abs() > 0).all(axis=None)


def test_where_only_the_reference_differs_from_the_baseline_it_has_all_effects(adata, model):
    silent = at_baseline(adata, model)
    silent.obsm[KEY] = adata.obsm[KEY]
    sct.tl.attribute(silent, model, genes=silent.obs_names[:12], n_steps=200, progress=False)
    table = sct.get.attribution_shares(silent)
    assert (table[["own_marks", "related_genes"]].abs() < 1e-6).all(axis=None)
    np.testing.assert_allclose(table["reference"], table["total"], rtol=1e-3, atol=1e-3)


# methods


def test_occlusion_replaces_own_bins_each_related_gene_and_the_reference(adata, model):
    gene, row = adata.obs_names[3], 3
    sct.tl.attribute(adata, model, genes=[gene], method="occlusion", by="region", progress=False)
    before = log_odds(model, adata)[row]

    def without(change):
        other = adata.copy()
        change(other)
        return before - log_odds(model, other)[row]

    silent = at_baseline(adata, model)

    def remove_reference(other):
        other.obsm[KEY] = silent.obsm[KEY]

    effects = adata.obsm["attribution_reference"][row]
    assert effects.sum() == pytest.approx(without(remove_reference), abs=1e-4)
    # All samples are replaced at once, and share the effect.
    np.testing.assert_allclose(effects, effects[0])
    related = sct.get.neighbor_effects(adata, genes=gene).iloc[0]

    def remove_related(other):
        other.X = other.X.copy()
        at = other.obs_names.get_loc(related["neighbor"])
        other.X[at] = silent.X[at]

    assert related["effect"] == pytest.approx(without(remove_related), abs=1e-4)
    region = (adata.var["region"] == "tss").to_numpy()

    def remove_region(other):
        other.X = other.X.copy()
        other.X[row, region] = silent.X[row, region]

    assert adata.layers["attribution"][row, region].sum() == pytest.approx(without(remove_region), abs=1e-4)


def test_gradient_shap_with_one_baseline_sums_to_the_difference(adata, model):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:5], method="gradient_shap", n_steps=400, progress=False)
    table = sct.get.attribution_shares(adata)
    expected = (log_odds(model, adata) - log_odds(model, at_baseline(adata, model)))[:5]
    np.testing.assert_allclose(table["total"], expected, rtol=1e-3, atol=1e-3)
    # Points are drawn at random between gene and baseline, so that the sum has an error of chance.
    np.testing.assert_allclose(table[PARTS].sum(axis=1), expected, rtol=0.1, atol=0.1)
    other = adata.copy()
    sct.tl.attribute(other, model, genes=adata.obs_names[:5], n_steps=100, key_added="exact", progress=False)
    exact = sct.get.attribution_shares(other, key="exact")
    np.testing.assert_allclose(table[PARTS], exact[PARTS], rtol=0.15, atol=0.05)


def test_deep_lift_is_refused_with_its_reasons(adata, model):
    match = "attention over neighbours, the standard deviation over reference samples .*integrated_gradients"
    with pytest.raises(ValueError, match=match):
        sct.tl.attribute(adata, model, method="deep_lift", progress=False)
    assert "attribution" not in adata.uns


def test_a_latent_depends_on_own_marks_alone(adata, model):
    sct.tl.attribute(adata, model, target="logit", genes=adata.obs_names[:3], **FEW)
    sct.tl.attribute(adata, model, target="latent:0", n_steps=100, genes=adata.obs_names[:20], progress=False)
    latent = model.get_latent_representation(adata)[:, 0]
    without = model.get_latent_representation(without_signal(adata, model))[:, 0]
    np.testing.assert_allclose(sct.get.attribution_shares(adata)["own_marks"], (latent - without)[:20], atol=1e-3)
    # Nothing of the earlier attributions of another target is left.
    assert "attribution_neighbors" not in adata.obsp
    assert "attribution_reference" not in adata.obsm
    assert len(adata.uns["attribution"]["references"]) == 0


def test_the_log_names_all_slots(adata, model, caplog):
    with caplog.at_level(logging.INFO):
        sct.tl.attribute(adata, model, genes=adata.obs_names[:2], **FEW)
    assert "Wrote layers, obs, obsp, obsm, uns." in caplog.text


def test_bins_of_a_related_gene_sum_to_its_effect(adata, model):
    genes = adata.obs_names[:3]
    sct.tl.attribute(adata, model, genes=genes, n_steps=40, progress=False)
    effects = sct.get.neighbor_effects(adata, genes=genes).set_index(["gene", "neighbor"])["effect"]
    pairs = sct.get.neighbor_attributions(adata, model, genes, n_steps=40, progress=False)
    assert pairs.n_vars == adata.n_vars
    of_bins = pairs.obs.assign(sum=pairs.X.sum(axis=1)).set_index(["gene", "neighbor"])["sum"]
    np.testing.assert_allclose(of_bins.loc[effects.index], effects, atol=1e-4)
    assert effects.abs().max() > 0.1


# genes that widgets explain


def test_explained_genes_have_the_effects_of_attribute(adata, model):
    genes = list(adata.obs_names[[7, 21]])
    small = explain_genes(adata, model, genes, n_steps=20)
    sct.tl.attribute(adata, model, genes=genes, n_steps=20, progress=False)
    found, expected = (sct.get.attribution_shares(data, genes=genes) for data in (small, adata))
    np.testing.assert_allclose(found[PARTS], expected[PARTS], atol=1e-5)
    few, among = (
        sct.get.neighbor_effects(data, genes=genes).set_index(["gene", "neighbor"]) for data in (small, adata)
    )
    assert few["graph"].equals(among.loc[few.index, "graph"])
    np.testing.assert_allclose(few["effect"], among.loc[few.index, "effect"], atol=1e-5)


def test_stored_attributions_are_taken_unless_the_reference_has_changed(adata, model):
    gene = adata.obs_names[7]
    sct.tl.attribute(adata, model, genes=[gene], method="occlusion", by="mark", progress=False)
    assert not explain_genes(adata, model, [gene]).uns["attribution"]["computed"]
    assert explain_genes(with_other_reference(adata, [7]), model, [gene]).uns["attribution"]["computed"]


# files, and calls that go on


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """Rows of the genes that were computed since."""
    found: list[int] = []
    original = _attribute.compute_batch

    def compute(result, explained, method, baselines, rows):
        found.extend(int(row) for row in rows)
        original(result, explained, method, baselines, rows)

    monkeypatch.setattr(_attribute, "compute_batch", compute)
    return found


def test_attributions_are_the_same_in_a_file_and_go_on_from_there(adata, model, computed, round_trip):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:6], **FEW)
    read = round_trip(adata)
    assert list(read.uns["attribution"]["neighbors_key"]) == ["coexpression", "tss"]
    assert list(read.uns["attribution"]["references"]) == list("ABCDE")
    for table in (sct.get.attribution_shares, sct.get.neighbor_effects):
        stored, expected = table(read), table(adata)
        for column in expected.columns:
            np.testing.assert_array_equal(stored[column].to_numpy(), expected[column].to_numpy())
    computed.clear()
    sct.tl.attribute(read, model, genes=read.obs_names[:8], **FEW)
    assert sorted(computed) == [6, 7]
    sct.tl.attribute(adata, model, genes=adata.obs_names[:8], **FEW)
    assert abs(read.obsp["attribution_neighbors"] - adata.obsp["attribution_neighbors"]).max() < 1e-6
    np.testing.assert_allclose(read.obsm["attribution_reference"], adata.obsm["attribution_reference"], atol=1e-6)
    np.testing.assert_allclose(read.layers["attribution"], adata.layers["attribution"], atol=1e-6)


def test_a_saved_model_goes_on_with_the_attributions_of_the_other(adata, model, computed, tmp_path):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:6], **FEW)
    model.save(tmp_path / "model")
    again = sct.SimpleChrome.load(tmp_path / "model", adata, device="cpu")
    computed.clear()
    sct.tl.attribute(adata, again, genes=adata.obs_names[:8], **FEW)
    assert sorted(computed) == [6, 7]


def test_genes_whose_reference_has_changed_are_computed_again(adata, model, computed, caplog):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:6], **FEW)
    other = with_other_reference(adata, [2])
    computed.clear()
    with caplog.at_level(logging.INFO):
        sct.tl.attribute(other, model, genes=other.obs_names[:6], **FEW)
    assert 2 in computed
    assert "have changed; their attributions are dropped" in caplog.text
    fresh = with_other_reference(in_context()[0], [2])
    sct.tl.attribute(fresh, model, genes=fresh.obs_names[:6], **FEW)
    np.testing.assert_allclose(other.obsm["attribution_reference"], fresh.obsm["attribution_reference"], atol=1e-6)


def test_samples_in_another_order_have_the_same_effects(adata, model):
    other = adata.copy()
    order = [2, 0, 4, 1, 3]
    other.obsm[KEY] = adata.obsm[KEY][:, order]
    other.uns[KEY] = {"samples": [list("ABCDE")[i] for i in order]}
    for data in (adata, other):
        sct.tl.attribute(data, model, genes=data.obs_names[:4], **FEW)
    # Effects stand in the order of the model, which the record names.
    assert other.uns["attribution"]["references"] == list("ABCDE")
    np.testing.assert_allclose(other.obsm["attribution_reference"], adata.obsm["attribution_reference"], atol=1e-6)


def test_a_model_without_a_context_leaves_no_effects_of_one(adata, model):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:3], **FEW)
    own = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, device="cpu")
    own.train(latent_epochs=1, expression_epochs=1, progress=False)
    sct.tl.attribute(adata, own, genes=adata.obs_names[:3], **FEW)
    assert "attribution_reference" not in adata.obsm
    assert "attribution_neighbors" not in adata.obsp
    assert (sct.get.attribution_shares(adata)[["related_genes", "reference"]] == 0).all(axis=None)


def test_a_function_as_target_reads_the_context(adata, model):
    sct.tl.attribute(adata, model, genes=adata.obs_names[:4], **FEW)
    other = adata.copy()
    sct.tl.attribute(other, model, genes=adata.obs_names[:4], target=_double, **FEW)
    factor = model.output_units["logit"]
    effects, doubled = (data.obsm["attribution_reference"][:4] for data in (adata, other))
    np.testing.assert_allclose(doubled * factor, 2 * effects, rtol=1e-3, atol=1e-5)


def _double(output):
    return 2 * output.logit

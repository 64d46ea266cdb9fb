"""Models with a context: what related genes and reference samples add to the gene's own marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders import prepared

import simplechrome_tk as sct
from simplechrome_tk.pl._style import signed

if TYPE_CHECKING:
    from pathlib import Path

    import anndata as ad

KEY = "reference_expression"
BRIEF = {"latent_epochs": 1, "expression_epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    """Return genes with two graphs and three reference samples, which tell half of the expression."""
    adata = prepared(600, n_neighbors=4)
    own = sct.pp.log_expression(adata.obs["expression"].to_numpy())
    noise = np.random.default_rng(0).normal(size=(adata.n_obs, 3))
    adata.obsm[KEY] = (own[:, None] + noise).astype("float32")
    adata.uns[KEY] = {"samples": ["A", "B", "C"]}
    sct.pp.tss_neighbors(adata, n_neighbors=2, key_added="near")
    return adata


@pytest.fixture(scope="module")
def own(adata: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, device="cpu")
    model.train(**BRIEF)
    return model


@pytest.fixture(scope="module")
def both(adata: ad.AnnData) -> sct.SimpleChrome:
    model = sct.SimpleChrome(
        adata, neighbors_key=("tss", "near"), reference_key=KEY, n_latent=4, n_hidden=16, device="cpu"
    )
    model.train(**BRIEF)
    return model


def pearson(model: sct.SimpleChrome) -> float:
    table = model.evaluate(splits=["test"], n_bootstrap=0).set_index("metric")
    return float(table.loc["Pearson", "value"])


def test_latents_are_those_of_the_model_without_a_context(own: sct.SimpleChrome, both: sct.SimpleChrome):
    np.testing.assert_array_equal(both.get_latent_representation(), own.get_latent_representation())


def test_reference_samples_that_know_the_gene_improve_the_prediction(own: sct.SimpleChrome, both: sct.SimpleChrome):
    assert pearson(both) > pearson(own) + 0.02


def test_a_permuted_reference_does_less(adata: ad.AnnData, own: sct.SimpleChrome):
    other = adata.copy()
    other.obsm[KEY] = np.random.default_rng(1).permutation(other.obsm[KEY])
    true, permuted = (own.add_context(data, reference_key=KEY, progress=False) for data in (adata, other))
    assert pearson(true) > pearson(permuted) + 0.02


def test_a_context_is_added_to_a_trained_model(own: sct.SimpleChrome):
    before = own.predict()
    added = own.add_context(neighbors_key="near", reference_key=KEY, epochs=3, progress=False)
    assert own.predict().equals(before)
    np.testing.assert_array_equal(added.get_latent_representation(), own.get_latent_representation())
    assert pearson(added) > pearson(own)
    history = added.history
    assert history["phase"].tolist()[-3:] == ["context"] * 3
    assert history["epoch"].is_monotonic_increasing
    assert added.settings.references == ("A", "B", "C")


def test_adding_a_context_needs_a_key(own: sct.SimpleChrome):
    with pytest.raises(ValueError, match="neighbors_key and reference_key are None"):
        own.add_context()


def test_an_adapted_model_gets_no_context(adata: ad.AnnData, own: sct.SimpleChrome):
    with pytest.raises(ValueError, match="was adapted"):
        own.adapt(adata).add_context(reference_key=KEY)


def test_a_model_with_a_context_is_adapted_and_fine_tuned(adata: ad.AnnData, both: sct.SimpleChrome):
    assert np.isfinite(both.adapt(adata).predict()["log_expression"]).all()
    tuned = both.fine_tune(adata, epochs=1, progress=False)
    assert "context" in tuned.history["phase"].unique()


def test_saved_models_predict_the_same(adata: ad.AnnData, both: sct.SimpleChrome, tmp_path: Path):
    both.save(tmp_path / "model")
    again = sct.SimpleChrome.load(tmp_path / "model", adata, device="cpu")
    assert again.settings.neighbors_key == ("tss", "near")
    assert again.predict().equals(both.predict())


def test_samples_are_found_by_name(adata: ad.AnnData, both: sct.SimpleChrome):
    other = adata.copy()
    other.obsm[KEY], other.uns[KEY] = other.obsm[KEY][:, [2, 0, 1]], {"samples": ["C", "A", "B"]}
    assert both.predict(other).equals(both.predict())


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (["A", "B", "D"], r"1 missing \(C\), 1 more \(D\)"),
        (["A", "B"], r"1 missing \(C\)"),
        (["A", "B", "C", "E"], r"1 more \(E\)"),
    ],
)
def test_other_samples_are_refused_by_name(adata: ad.AnnData, both: sct.SimpleChrome, samples: list[str], match: str):
    other = adata.copy()
    other.obsm[KEY] = np.resize(adata.obsm[KEY], (adata.n_obs, len(samples)))
    other.uns[KEY] = {"samples": samples}
    with pytest.raises(ValueError, match=match):
        both.predict(other)


def test_data_without_the_reference_are_refused(adata: ad.AnnData, both: sct.SimpleChrome):
    other = adata.copy()
    del other.obsm[KEY]
    with pytest.raises(ValueError, match=r"pp\.add_reference_expression"):
        both.predict(other)


def test_genes_without_a_reference_are_counted(
    adata: ad.AnnData, both: sct.SimpleChrome, caplog: pytest.LogCaptureFixture
):
    other = adata.copy()
    other.obsm[KEY][:7] = np.nan
    assert np.isfinite(both.predict(other)["log_expression"]).all()
    assert "7 of 600 genes have no reference expression" in caplog.text


def test_a_reference_that_knows_no_training_gene_is_refused(adata: ad.AnnData):
    other = adata.copy()
    other.obsm[KEY][(other.obs["split"] == "train").to_numpy()] = np.nan
    with pytest.raises(ValueError, match="no training gene"):
        sct.SimpleChrome(other, reference_key=KEY)


@pytest.mark.parametrize("names", [(), ("tss", "tss"), 5, ["tss", 3]])
def test_names_of_graphs_are_checked(adata: ad.AnnData, names: object):
    with pytest.raises(ValueError, match=r"neighbors_key"):
        sct.SimpleChrome(adata, neighbors_key=names)


def test_a_graph_with_the_gene_itself_is_refused(adata: ad.AnnData, both: sct.SimpleChrome):
    other = adata.copy()
    links = other.obsp["near_connectivities"].tolil()
    links[3, 3] = 1
    other.obsp["near_connectivities"] = links.tocsr()
    with pytest.raises(ValueError, match="links of a gene to itself"):
        both.predict(other)


def test_effects_of_all_parts_sum_to_the_prediction(adata: ad.AnnData, both: sct.SimpleChrome):
    part = adata.copy()
    sct.tl.attribute(part, both, genes=part.obs_names[:30], progress=False)
    assert part.obs["attribution_error"].max() < 1e-2
    assert part.obsm["attribution_reference"].shape == (600, 3)
    assert part.uns["attribution"]["references"] == ["A", "B", "C"]
    table = sct.get.attribution_shares(part)
    parts = table[["own_marks", "related_genes", "reference"]]
    np.testing.assert_allclose(parts.sum(axis=1), table["total"], atol=1e-2)
    shares = table[["share_own_marks", "share_related_genes", "share_reference"]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    # The total is the log-odds of the gene less that of a gene without any signal, whose reference is average.
    found = sct.get.neighbor_effects(part, genes=part.obs_names[:30]).groupby("gene")["effect"].sum()
    np.testing.assert_allclose(found.loc[table["gene"]], table["related_genes"], atol=1e-5)


def test_shares_of_groups_are_means(adata: ad.AnnData, both: sct.SimpleChrome):
    part = adata.copy()
    sct.tl.attribute(part, both, genes=part.obs_names[:30], progress=False)
    table, groups = sct.get.attribution_shares(part), sct.get.attribution_shares(part, groupby="label")
    assert groups["n_genes"].sum() == 30
    high = part.obs.loc[table["gene"], "label"].to_numpy() == "high"
    expected = table.loc[high, "reference"].mean()
    assert groups.set_index("label").loc["high", "reference"] == pytest.approx(expected)
    ax = sct.pl.attribution_shares(part)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "own marks",
        "related genes",
        "reference samples",
    ]
    assert f"({int(high.sum())} genes)" in ax.get_yticklabels()[1].get_text()


def test_edits_keep_the_context(adata: ad.AnnData, both: sct.SimpleChrome):
    part = adata.copy()
    sct.tl.perturb(part, both, sct.tl.Edit.scale(1.0, mark="H3K4me3"), genes=part.obs_names[:5])
    expected = both.predict().iloc[:5]["log_expression"]
    np.testing.assert_allclose(part.uns["perturb"]["log_expression_before"], expected, atol=1e-5)


def test_the_browser_names_all_parts_and_genes_that_it_cannot_draw(adata: ad.AnnData, both: sct.SimpleChrome):
    part = adata.copy()
    gene = part.obs_names[0]
    sct.tl.attribute(part, both, genes=[gene], progress=False)
    for slot in ("tss_distances", "near_distances"):
        # The neighbours move to another chromosome.
        part.obsp[slot] = part.obsp[slot] * 0
    neighbors = sct.get.neighbors(part, neighbors_key="tss", genes=gene)["neighbor"]
    part.obs["chrom"] = part.obs["chrom"].astype(str)
    part.obs.loc[neighbors, "chrom"] = "chr99"
    texts = sct.pl.browser(part, gene).signal[0, 0].figure.texts
    title = " ".join(text.get_text() for text in texts)
    shares = sct.get.attribution_shares(part, genes=[gene]).iloc[0]
    assert "reference samples" in title
    assert f"related genes {signed(shares['related_genes'])}, reference samples {signed(shares['reference'])}" in title

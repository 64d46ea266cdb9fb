"""The model that comes with the package: its size, its card, its accuracy, and data that it must refuse."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pytest
from builders import prepared

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad


@pytest.fixture(scope="module")
def model() -> sct.SimpleChrome:
    return sct.load_pretrained("roadmap-peaks")


def test_weights_are_small_and_the_card_says_what_they_are(model: sct.SimpleChrome):
    folder = files("simplechrome_tk.model") / "pretrained" / "roadmap-peaks"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) < 2_000_000
    for said in ("GM12878", "HeLa-S3", "K562", "chr1", "chr8", "chr21", "AUROC", "hg19"):
        assert said in model.card
    assert model.is_trained
    assert "5 marks x 100 bins + 5 marks x 20 bins + gene length" in repr(model)


def test_it_predicts_real_genes_of_held_out_chromosomes(model: sct.SimpleChrome, e116: ad.AnnData):
    adata = e116.copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, reference=model.normalization)
    table = sct.evaluation.evaluate(adata, model.predict(adata), splits=["test"], n_bootstrap=0)
    scores = table.set_index("metric")["value"]
    assert scores["AUROC"] > 0.955
    assert scores["Pearson"] > 0.86


def test_its_sibling_reads_co_expressed_genes_and_the_reference(model: sct.SimpleChrome, e116: ad.AnnData):
    sibling = sct.load_pretrained("roadmap-peaks-context")
    adata = e116.copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, reference=sibling.normalization)
    with pytest.raises(ValueError, match="coexpression_neighbors"):
        sibling.predict(adata)
    sct.pp.add_reference_expression(adata, exclude=["E116", "E117", "E123"])
    sct.pp.coexpression_neighbors(adata)
    table = sct.evaluation.evaluate(adata, sibling.predict(adata), splits=["test"], n_bootstrap=0)
    scores = table.set_index("metric")["value"]
    assert scores["AUROC"] > 0.97
    assert scores["deviation"] > 0.79
    np.testing.assert_array_equal(
        sibling.get_latent_representation(adata[:50]), model.get_latent_representation(adata[:50])
    )
    for said in ("53 Roadmap epigenomes", "must not", "chr21"):
        assert said in str(sibling.card)


def test_the_card_is_that_of_the_weights_and_not_of_those_learnt_from_them(model: sct.SimpleChrome):
    adata = prepared(1_000, method=None)
    sct.pp.normalize(adata, reference=model.normalization)
    assert model.adapt(adata).card is None
    assert model.card is not None


def test_another_scale_of_signal_changes_nothing(model: sct.SimpleChrome, e116: ad.AnnData):
    adata, other = e116.copy(), e116.copy()
    other.X = np.expm1(np.log1p(other.X) * 1.5)
    for data in (adata, other):
        sct.pp.normalize(data, reference=model.normalization)
    np.testing.assert_allclose(model.predict(other)["probability"], model.predict(adata)["probability"], atol=1e-3)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'blueprint'.*roadmap-peaks"):
        sct.load_pretrained("blueprint")


def test_raw_signal_is_refused(model: sct.SimpleChrome):
    with pytest.raises(ValueError, match=r"sct\.pp\.normalize\(adata, reference=model\.normalization\)"):
        model.predict(prepared(1_000, method=None))


def test_fewer_marks_are_refused(model: sct.SimpleChrome):
    fewer = sct.datasets.simulate(1_000, marks=["H3K4me3", "H3K27me3"])
    with pytest.raises(ValueError, match="reference is for"):
        sct.pp.normalize(fewer, reference=model.normalization)


def test_fewer_windows_are_refused_by_name(model: sct.SimpleChrome):
    promoter = sct.datasets.simulate(1_000, windows=[sct.pp.Window.TSS])
    sct.pp.split_by_chromosome(promoter)
    sct.pp.normalize(promoter)
    with pytest.raises(ValueError, match=r"100 missing \(H3K4me3:body"):
        model.predict(promoter)


def test_data_with_a_normalisation_of_their_own_are_refused(model: sct.SimpleChrome):
    with pytest.raises(ValueError, match=r"reference=model\.normalization"):
        model.predict(prepared(1_000))


def test_the_gene_length_constants_are_saved(model: sct.SimpleChrome):
    folder = files("simplechrome_tk.model") / "pretrained" / "roadmap-peaks"
    config = json.loads((folder / "config.json").read_text())
    assert config["length_constants"] == {"center": 4.33, "scale": 0.63}
    assert model.settings.gene_length

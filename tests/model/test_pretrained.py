"""The model that comes with the package: its size, its card, its accuracy, and data that it must refuse."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pytest

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad


@pytest.fixture(scope="module")
def model() -> sct.SimpleChrome:
    return sct.load_pretrained("roadmap-peaks")


def test_weights_are_small_and_the_card_says_what_they_are(model: sct.SimpleChrome):
    folder = files("simplechrome_tk.model") / "pretrained" / "roadmap-peaks"
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) < 2_000_000
    card = sct.pretrained_card("roadmap-peaks")
    for said in ("GM12878", "HeLa-S3", "K562", "chr1", "chr8", "chr21", "AUROC", "hg19"):
        assert said in card
    assert model.is_trained
    assert "5 marks x 100 bins + 5 marks x 20 bins + gene length" in repr(model)


def test_it_predicts_real_genes_of_chromosomes_it_has_not_seen(
    model: sct.SimpleChrome, e116: ad.AnnData, real_roadmap: Callable[..., ad.AnnData]
):
    adata = e116.copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, reference=model.normalization)
    scores = sct.evaluation.evaluate(adata, model.predict(adata), splits=["test"], n_bootstrap=0).set_index("metric")[
        "value"
    ]
    assert scores["AUROC"] > 0.955
    assert scores["Pearson"] > 0.86


def test_another_scale_of_signal_changes_nothing(model: sct.SimpleChrome, e116: ad.AnnData):
    adata, other = e116.copy(), e116.copy()
    other.X = np.expm1(np.log1p(other.X) * 1.5)
    for data in (adata, other):
        sct.pp.normalize(data, reference=model.normalization)
    np.testing.assert_allclose(model.predict(other)["probability"], model.predict(adata)["probability"], atol=1e-3)


def test_what_it_cannot_serve_is_refused_by_name(model: sct.SimpleChrome):
    with pytest.raises(ValueError, match="no pre-trained model 'blueprint'; choose one of roadmap-peaks"):
        sct.load_pretrained("blueprint")
    raw = sct.datasets.simulate(1_000)
    with pytest.raises(ValueError, match=r"not normalised: run sct\.pp\.normalize\(adata, reference="):
        model.predict(raw)
    fewer = sct.datasets.simulate(1_000, marks=["H3K4me3", "H3K27me3"])
    with pytest.raises(ValueError, match="reference is for"):
        sct.pp.normalize(fewer, reference=model.normalization)
    promoter = sct.datasets.simulate(1_000, windows=[sct.pp.TSS_WINDOW])
    sct.pp.split_by_chromosome(promoter)
    sct.pp.normalize(promoter)
    with pytest.raises(ValueError, match=r"columns differ .*100 missing \(H3K4me3:body"):
        model.predict(promoter)
    own = sct.datasets.simulate(1_000)
    sct.pp.split_by_chromosome(own)
    sct.pp.normalize(own)
    with pytest.raises(ValueError, match="normalised with other constants"):
        model.predict(own)

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from simplechrome_tk.widgets import _gene_page


def test_without_a_model_the_effects_of_the_anndata_are_drawn(attributed, monkeypatch):
    monkeypatch.setattr(_gene_page, "explain_genes", lambda *_: pytest.fail("computed"))
    page = _gene_page.gene_page(attributed, None, 3)
    assert page.startswith(f'<img alt="Tracks of {attributed.obs["symbol"].iloc[3]}, ')
    assert "without a model" in page
    assert f"Genes related to {attributed.obs['symbol'].iloc[3]} in the graph tss" in page
    assert not plt.get_fignums()


def test_gene_without_effects_is_drawn_as_tracks_alone(attributed):
    page = _gene_page.read_gene(attributed, None, [4])[0]
    assert np.isnan(page.data.layers["attribution"][0]).all()
    assert not any("effect on" in text.get_text() for text in _gene_page.draw_gene(page).texts)
    with_effects = _gene_page.read_gene(attributed, None, [3])[0]
    assert any("effect on" in text.get_text() for text in _gene_page.draw_gene(with_effects).texts)
    plt.close("all")

"""The distribution of expression in groups of genes, which the Explorer draws."""

from __future__ import annotations

import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk.pl.data._expression import expression


def test_each_group_has_its_median_and_its_name_letter_by_letter():
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.BODY])
    adata.obs["group"] = np.where(np.arange(200) < 50, "$a_{$", "b")
    ax = expression(adata, groupby="group")
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [r"\$a_{\$ (50 genes)", "b (150 genes)"]
    values = np.log10(adata.obs["expression"].to_numpy() + 0.1)
    medians = [line.get_xdata()[0] for line in ax.lines]
    assert medians == pytest.approx([np.median(values[:50]), np.median(values[50:])])


def test_genes_without_any_group_are_named():
    adata = sct.datasets.simulate(200, windows=[sct.pp.Window.BODY])
    adata.obs["label"] = np.nan
    with pytest.raises(ValueError, match="none of the 200 genes"):
        expression(adata)

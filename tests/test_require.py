"""Genes asked for by name, symbol or mask."""

from __future__ import annotations

import numpy as np
import pytest

import simplechrome_tk as sct
from simplechrome_tk._require import gene_row, gene_rows


@pytest.fixture(scope="module")
def adata():
    adata = sct.datasets.simulate(140)
    adata.obs["symbol"] = [f"S{row % 70}" for row in range(140)]
    return adata


def test_gene_rows_by_id_symbol_and_mask(adata):
    names = adata.obs_names
    assert gene_rows(adata, None).tolist() == list(range(140))
    assert gene_rows(adata, names[5]).tolist() == [5]
    assert gene_rows(adata, [names[9], "S3", names[9]]).tolist() == [9, 3, 73], "in the order asked for, each once"
    assert gene_rows(adata, adata.obs["symbol"] == "S3").tolist() == [3, 73]
    assert gene_row(adata, names[7]) == 7


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (["S3", "s44", "nobody"], r"no gene 's44' among 140 \(nor 1 others asked for\): did you mean S44"),
        (np.ones(3, dtype=bool), r"mask of genes has shape \(3,\); expected \(140,\)"),
        (np.zeros(140, dtype=bool), "no gene is selected of 140"),
        ([], "no gene is selected of 140"),
    ],
)
def test_gene_rows_bad_input(adata, genes, message):
    with pytest.raises(ValueError, match=message):
        gene_rows(adata, genes)


def test_gene_row_names_the_rows_of_an_ambiguous_symbol(adata):
    with pytest.raises(ValueError, match=rf"'S3' names 2 rows: {adata.obs_names[3]}, {adata.obs_names[73]}; name one"):
        gene_row(adata, "S3")

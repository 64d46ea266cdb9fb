from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import simplechrome_tk as sct


def stacked(**cells: list[float]) -> ad.AnnData:
    obs = pd.DataFrame(
        [(cell, value) for cell, values in cells.items() for value in values], columns=["cell_type", "expression"]
    )
    return ad.AnnData(obs=obs.set_index(obs.index.astype(str)))


def test_high_is_strictly_above_the_median_of_the_cell_type():
    adata = stacked(A=[0.0, 1.0, 5.0], B=[10.0, 20.0, 30.0, 40.0])
    sct.pp.label_expression(adata)
    assert list(adata.obs["label"]) == ["low", "low", "high", "low", "low", "high", "high"]
    assert list(adata.obs["label"].cat.categories) == ["low", "high"]
    assert adata.obs["label"].cat.ordered
    assert adata.uns["label_expression"]["expression_key"] == "expression"
    assert adata.uns["label_expression"]["thresholds"].to_dict() == {"threshold": {"A": 1.0, "B": 25.0}}


def test_cell_types_are_told_apart_even_when_gene_names_repeat():
    adata = stacked(A=[0.0, 1.0, 5.0], B=[10.0, 20.0, 30.0])
    adata.obs_names = ["g1", "g2", "g3"] * 2
    sct.pp.label_expression(adata)
    assert list(adata.obs["label"]) == ["low", "low", "high"] * 2


def test_missing_expression_stays_without_a_label_and_out_of_the_median():
    adata = stacked(A=[np.nan, 1.0, 2.0, 9.0, np.nan])
    sct.pp.label_expression(adata)
    assert list(adata.obs["label"].isna()) == [True, False, False, False, True]
    assert adata.uns["label_expression"]["thresholds"]["threshold"].to_dict() == {"A": 2.0}


def test_a_threshold_stands_in_for_the_medians():
    adata = stacked(A=[0.0, 1.0, 5.0], B=[0.5, 20.0])
    sct.pp.label_expression(adata, threshold=0.5, key_added="on")
    assert list(adata.obs["on"]) == ["low", "high", "high", "low", "high"]
    assert adata.uns["label_expression"]["thresholds"]["threshold"].to_dict() == {"A": 0.5, "B": 0.5}


def test_without_cell_types_all_genes_share_one_median():
    adata = stacked(A=[0.0, 1.0, 5.0])
    del adata.obs["cell_type"]
    copy = sct.pp.label_expression(adata, copy=True)
    assert copy.uns["label_expression"]["thresholds"]["threshold"].to_dict() == {"all": 1.0}
    assert "label" not in adata.obs


@pytest.mark.parametrize(
    ("cells", "threshold", "message"),
    [
        ({"A": [1.0, -2.0]}, None, "1 negative values; expected linear units"),
        ({"A": [1.0, 2.0], "B": [3.0, 3.0]}, None, "cell type 'B': every gene is low at threshold 3"),
        ({"A": [1.0, 2.0]}, 0.5, "cell type 'A': every gene is high at threshold 0.5"),
        ({"A": [1.0, 2.0], "B": [np.nan]}, None, "cell type 'B': .* holds no value"),
    ],
)
def test_labels_that_cannot_be_are_refused(cells, threshold, message):
    with pytest.raises(ValueError, match=message):
        sct.pp.label_expression(stacked(**cells), threshold=threshold)


def test_missing_column_names_what_to_do():
    with pytest.raises(ValueError, match=r"no column 'rpkm' .*name the column with expression_key"):
        sct.pp.label_expression(stacked(A=[1.0, 2.0]), expression_key="rpkm")


def test_log_expression():
    np.testing.assert_allclose(sct.pp.log_expression([0, 0.9, 99.9]), [-1, 0, 2])

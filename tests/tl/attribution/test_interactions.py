"""Interactions of marks: exact where they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from builders import prepared, trained
from linear_model import Linear

import simplechrome_tk as sct
from simplechrome_tk.tl.attribution._baselines import make_baselines
from simplechrome_tk.tl.attribution._inputs import read_inputs

QUIET = {"progress": False}


@pytest.fixture
def adata():
    return prepared(300, n_neighbors=4)


class Product(torch.nn.Module):
    """Mean of the first mark times mean of the second, less the third: its interactions are known."""

    def __init__(self, marks: np.ndarray) -> None:
        super().__init__()
        self.columns = [np.flatnonzero(marks == name) for name in list(dict.fromkeys(marks))[:3]]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third = (x[:, columns].mean(dim=1) for columns in self.columns)
        return first * second - third


def no_signal(adata) -> np.ndarray:
    return make_baselines(read_inputs(adata, None), "zero").marks[0]


def test_the_interaction_in_a_product_is_the_product(adata):
    marks = adata.var["mark"].astype(str).to_numpy()
    module = Product(marks)
    sct.tl.interactions(adata, module, genes=adata.obs_names[:50], batch_size=20, **QUIET)
    table = adata.obsm["attribution_interactions"]
    assert table.shape == (300, 10)
    first, second = ((adata.X - no_signal(adata))[:, columns].mean(axis=1) for columns in module.columns[:2])
    name = f"{marks[0]} x {marks[100]}"
    np.testing.assert_allclose(table[name].iloc[:50], (first * second)[:50], atol=1e-5)
    assert np.abs(table.drop(columns=name).iloc[:50]).max(axis=None) < 1e-6, "effects that add up"
    assert table.iloc[50:].isna().all(axis=None)


def test_neighbours_stay_as_they_are(adata):
    model = trained(300, n_neighbors=4, n_models=2)[1]
    sct.tl.interactions(adata, model, genes=adata.obs_names[:2], target="log_expression", **QUIET)
    start, marks = no_signal(adata), adata.var["mark"].astype(str).to_numpy()
    for row in range(2):
        predicted = {}
        for removed in ((), ("H3K4me3",), ("H3K27me3",), ("H3K4me3", "H3K27me3")):
            edited = adata.copy()
            columns = np.isin(marks, removed)
            edited.X[row, columns] = start[columns]
            predicted[removed] = model.predict(edited)["log_expression"].iloc[row]
        expected = predicted[()] - predicted["H3K4me3",] - predicted["H3K27me3",] + predicted["H3K4me3", "H3K27me3"]
        found = adata.obsm["attribution_interactions"]["H3K4me3 x H3K27me3"].iloc[row]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_mark_alone_is_named(adata):
    one = adata[:, adata.var["mark"] == "H3K4me3"].copy()
    with pytest.raises(ValueError, match=r"H3K4me3.*two at least"):
        sct.tl.interactions(one, Linear(np.ones(one.n_vars)), **QUIET)


def test_interactions_have_a_unit_of_their_own(adata):
    model = trained(300, n_models=2)[1]
    genes = adata.obs_names[:2]
    sct.tl.attribute(adata, model, genes=genes, target="logit", method="occlusion", **QUIET)
    sct.tl.interactions(adata, model, genes=genes, target="log_expression", **QUIET)
    assert adata.uns["attribution_interactions"]["unit"].startswith("log10(")
    labels = [ax.get_ylabel() for ax in sct.pl.interactions(adata, genes=genes)[0].figure.axes]
    assert any("log10(" in label for label in labels)
    assert not any("log-odds" in label for label in labels)

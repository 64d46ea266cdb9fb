"""Any function of a model and data, before and after edits."""

from __future__ import annotations

import contextlib

import numpy as np
import pandas as pd
import pytest
import torch
from hand_edits import GENE, K4, columns, neighbors_of

import simplechrome_tk as sct
from simplechrome_tk.tl import Edit


@pytest.mark.parametrize("when", ["before", "after"])
def test_predictions_are_those_of_perturb(adata, among, when):
    genes, edit = adata.obs_names[[GENE, 3]], Edit.set(9, mark=K4, on="neighbors")
    result = sct.get.before_and_after(adata, among, edit, sct.SimpleChrome.predict, genes=genes)
    sct.tl.perturb(adata, among, edit, genes=genes)
    expected = adata.uns["perturb"][f"log_expression_{when}"]
    np.testing.assert_allclose(getattr(result, when)["log_expression"].loc[genes], expected, atol=1e-5, rtol=0)


def test_data_hold_the_genes_and_then_their_neighbours(adata, among):
    genes = adata.obs_names[[GENE, 3]]
    data = sct.get.before_and_after(adata, among, Edit.remove(), lambda *_: None, genes=genes).data_after
    neighbors = np.unique(np.concatenate([neighbors_of(adata, row) for row in (GENE, 3)]))
    assert data.obs_names[:2].tolist() == genes.tolist()
    assert data.obs_names[2:].tolist() == [f"{name} (neighbour)" for name in adata.obs_names[neighbors]]
    assert data.obs["perturbed"].tolist() == [True] * 2 + [False] * len(neighbors)
    assert data.obsp["tss_connectivities"][2:].nnz == 0
    assert set(adata.uns) == set(data.uns)


def test_a_neighbour_that_is_edited_for_all_genes_occurs_once(adata, among):
    first, second, shared = next(
        (row, other, shared)
        for row in range(adata.n_obs)
        for other in range(row)
        for shared in set(neighbors_of(adata, row)) & set(neighbors_of(adata, other))
    )
    genes, name = adata.obs_names[[first, second]], adata.obs_names[shared]
    data = sct.get.before_and_after(adata, among, Edit.remove(on=name), lambda *_: None, genes=genes).data_after
    assert data.obs_names.str.startswith(f"{name} (neighbour").sum() == 1
    assert not data[f"{name} (neighbour)"].layers["signal"].any()


def test_names_are_strings_of_whatever_kind(adata, among):
    """From pandas 3 on names are of its own type of strings, to which numbers cannot be added."""
    own_strings = contextlib.nullcontext()
    if pd.__version__ < "3":
        own_strings = pd.option_context("future.infer_string", True)
    before = sct.get.before_and_after(adata, among, Edit.remove(), lambda *_: None, genes=adata.obs_names[:2])
    with own_strings:
        adata.obs.index = pd.Index(adata.obs_names.to_list())
        after = sct.get.before_and_after(adata, among, Edit.remove(), lambda *_: None, genes=adata.obs_names[:2])
    assert after.data_after.obs_names.to_list() == before.data_after.obs_names.to_list()


def test_a_function_may_write_to_its_data(adata, among, state):
    before = state(adata)

    def spoil(_: object, data: object) -> None:
        data.X[:] = -1
        data.layers["signal"][:] = -1
        data.obs["symbol"] = "x"
        data.uns["normalize"]["center"][:] = 0
        data.uns["windows"]["anchor"] = "x"

    sct.get.before_and_after(adata, among, Edit.remove(), spoil, genes=adata.obs_names[GENE])
    assert state(adata) == before


def test_a_plain_network_is_called_through_a_function(adata):
    net = torch.nn.Linear(adata.n_vars, 1, bias=False)
    with torch.no_grad():
        net.weight[:] = 1

    def total(net: torch.nn.Module, data: object) -> np.ndarray:
        data.obs["total"] = net(torch.as_tensor(data.X)).detach().numpy()[:, 0]
        return data.obs["total"].to_numpy()

    edit = Edit.set(3, mark=K4, region="tss")
    result = sct.get.before_and_after(adata, net, edit, total, genes=adata.obs_names[:4])
    constants = adata.uns["normalize"]
    x = (np.log1p(3) - constants["center"][0]) / constants["scale"][0]
    expected = 100 * x - adata.X[:4, columns(adata, K4, "tss")].sum(axis=1)
    np.testing.assert_allclose(result.after - result.before, expected, rtol=1e-3, atol=1e-3)
    assert "total" in result.data_before.obs


def test_neighbours_of_a_plain_network_are_refused(adata):
    with pytest.raises(ValueError, match="neighbors_key"):
        sct.get.before_and_after(adata, torch.nn.Identity(), Edit.remove(on="neighbors"), lambda *_: None)

"""Edits of marks: against the same edit made by hand, in closed form, and on real genes."""

from __future__ import annotations

import copy
import logging
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

import simplechrome_tk as sct
from simplechrome_tk.pp._renormalize import Renormalizer
from simplechrome_tk.tl import Edit
from simplechrome_tk.tl.perturbation import _perturb, _saturate
from simplechrome_tk.tl.perturbation._edited_columns import Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad

K4, K36, K27 = "H3K4me3", "H3K36me3", "H3K27me3"
QUICK = {"latent_epochs": 1, "expression_epochs": 3, "progress": False}


def prepare(adata: ad.AnnData, **kwargs: object) -> ad.AnnData:
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, **kwargs)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    return adata


def trained(adata: ad.AnnData, **kwargs: object) -> sct.SimpleChrome:
    model = sct.SimpleChrome(adata, n_latent=6, n_hidden=32, **kwargs)
    model.train(**QUICK)
    return model


@pytest.fixture(scope="module")
def adata() -> ad.AnnData:
    return prepare(sct.datasets.simulate(600))


@pytest.fixture(scope="module")
def alone(adata: ad.AnnData) -> sct.SimpleChrome:
    return trained(adata)


@pytest.fixture(scope="module")
def hears(adata: ad.AnnData) -> sct.SimpleChrome:
    return trained(adata, neighbors_key="tss")


def by_hand(model: sct.SimpleChrome, adata: ad.AnnData, change: Callable[[np.ndarray], None]) -> pd.DataFrame:
    """Predict all genes after ``change`` has been made to the whole signal, normalised anew."""
    raw = adata.copy()
    raw.X = raw.layers.pop("signal")
    del raw.uns["normalize"]
    change(raw.X)
    sct.pp.normalize(raw, reference=model.normalization)
    return model.predict(raw)


def columns(adata: ad.AnnData, mark: str, region: str, low: float = -np.inf, high: float = np.inf) -> list[int]:
    """Columns of a mark in a region whose middle lies in a stretch, by their names."""
    names = [name.split(":") for name in adata.var_names]
    return [i for i, (m, r, at) in enumerate(names) if m == mark and r == region and low <= float(at) < high]


def heard_by(adata: ad.AnnData, row: int) -> np.ndarray:
    return adata.obsp["tss_connectivities"][row].indices


def assert_predicts(table: pd.DataFrame, expected: pd.DataFrame, row: int = 0) -> None:
    for value in ("probability", "log_expression"):
        assert table[f"{value}_after"].iloc[row] == pytest.approx(
            expected[value].loc[table["gene"].iloc[row]], abs=2e-5
        )


GENE = 17


def edits_by_hand(adata: ad.AnnData) -> dict[str, tuple[Edit, Callable[[np.ndarray], None]]]:
    """Each kind of edit of one gene, and the same by hand on the signal of all."""
    near = columns(adata, K4, "tss", -1_000, 1_000)
    k4, k36, k27 = (columns(adata, mark, "tss") for mark in (K4, K36, K27))
    body = columns(adata, K36, "body", 0.5, 1)
    donor = 301

    def setting(signal: np.ndarray) -> None:
        signal[GENE, near] = 7.5

    def scaling(signal: np.ndarray) -> None:
        signal[GENE, body] *= 0.25

    def removing(signal: np.ndarray) -> None:
        signal[GENE] = 0

    def shifting(signal: np.ndarray) -> None:
        old = signal[GENE, k4].copy()
        signal[GENE, k4] = [old[max(i - 3, 0)] for i in range(100)]

    def swapping(signal: np.ndarray) -> None:
        signal[GENE, k36 + k27] = signal[GENE, k27 + k36]

    def transplanting(signal: np.ndarray) -> None:
        signal[GENE, near] = signal[donor, near]

    stretch = {"mark": K4, "region": "tss", "start": -1_000, "end": 1_000}
    return {
        "set": (Edit.set(7.5, **stretch), setting),
        "scale": (Edit.scale(0.25, mark=K36, region="body", start=0.5), scaling),
        "remove": (Edit.remove(), removing),
        "shift": (Edit.shift(300, mark=K4, region="tss"), shifting),
        "swap": (Edit.swap(K36, K27, region="tss"), swapping),
        "transplant": (Edit.transplant(adata.obs_names[donor], **stretch), transplanting),
    }


@pytest.mark.parametrize("action", ["set", "scale", "remove", "shift", "swap", "transplant"])
@pytest.mark.parametrize("which", ["alone", "hears"])
def test_an_edit_of_a_gene_is_what_the_hand_makes_of_it(adata, action, which, request):
    model = request.getfixturevalue(which)
    edit, change = edits_by_hand(adata)[action]
    table = sct.tl.perturb(adata, model, edit, genes=adata.obs_names[GENE])
    assert_predicts(table, by_hand(model, adata, change))
    before = model.predict().iloc[GENE]
    assert table["probability_before"].iloc[0] == pytest.approx(before["probability"], abs=2e-6)
    assert table["log_expression_change"].iloc[0] == pytest.approx(
        table["log_expression_after"].iloc[0] - before["log_expression"], abs=1e-5
    )
    p = table[["probability_before", "probability_after"]].to_numpy(float)[0]
    assert table["log_odds_change"].iloc[0] == pytest.approx(np.diff(np.log(p / (1 - p)))[0], abs=1e-4)
    assert table["symbol"].iloc[0] == adata.obs["symbol"].iloc[GENE]


@pytest.mark.parametrize("named", [False, True])
def test_an_edit_of_neighbours(adata, hears, named):
    rows = heard_by(adata, GENE)
    rows = rows[1:2] if named else rows
    of = str(adata.obs["symbol"].iloc[rows[0]]) if named else "neighbors"

    def change(signal: np.ndarray) -> None:
        signal[np.ix_(rows, columns(adata, K4, "tss"))] *= 3

    edit = Edit.scale(3, mark=K4, region="tss", of=of)
    table = sct.tl.perturb(adata, hears, edit, genes=adata.obs_names[GENE])
    assert_predicts(table, by_hand(hears, adata, change))
    assert table["log_expression_change"].iloc[0] != 0


def test_edits_act_one_after_the_other_on_gene_and_neighbours(adata, hears):
    rows = heard_by(adata, GENE)
    k4 = columns(adata, K4, "tss")

    def change(signal: np.ndarray) -> None:
        signal[GENE, k4] = (5 + 0.0) * 2
        signal[rows] = 0
        signal[np.ix_(rows[:1], k4)] = 4

    edits = [
        Edit.set(5, mark=K4, region="tss"),
        Edit.remove(of="neighbors"),
        Edit.scale(2, mark=K4, region="tss"),
        Edit.set(4, mark=K4, region="tss", of=adata.obs_names[rows[0]]),
    ]
    assert_predicts(sct.tl.perturb(adata, hears, edits, genes=adata.obs_names[GENE]), by_hand(hears, adata, change))


def test_intervals_are_those_of_predict_before_and_after(adata, hears):
    gene = adata.obs_names[GENE]
    edit, change = edits_by_hand(adata)["set"]
    table = sct.tl.perturb(adata, hears, edit, genes=gene).iloc[0]
    before, after = hears.predict().loc[gene], by_hand(hears, adata, change).loc[gene]
    for value in ("probability", "log_expression"):
        for bound in ("low", "high"):
            name = f"{value}_{bound}"
            assert table[f"{name}_before"] == pytest.approx(before[name], abs=1e-5)
            assert table[f"{name}_after"] == pytest.approx(after[name], abs=1e-5)
        assert table[f"{value}_low_after"] <= table[f"{value}_after"] <= table[f"{value}_high_after"]
    regression = trained(adata, task="regression")
    columns = sct.tl.perturb(adata, regression, edit, genes=gene).columns
    assert "log_expression_low_after" in columns
    assert not any("probability" in name for name in columns)


def test_edited_genes_as_an_anndata(adata, hears):
    genes = adata.obs_names[[GENE, 3]]
    k4 = columns(adata, K4, "tss")
    edited = sct.tl.apply_edits(adata, Edit.scale(2, mark=K4, region="tss"), genes=genes)
    assert edited.obs_names.tolist() == genes.tolist()
    expected = adata[genes].layers["signal"].copy()
    expected[:, k4] *= 2
    np.testing.assert_array_equal(edited.layers["signal"], expected)
    constants = adata.uns["normalize"]
    np.testing.assert_allclose(
        edited.X[:, k4], (np.log1p(expected[:, k4]) - constants["center"][0]) / constants["scale"][0], atol=1e-5
    )
    of_one = Edit.remove(of=adata.obs_names[heard_by(adata, GENE)[0]])
    both = sct.tl.apply_edits(adata, of_one, genes=genes[0], neighbors_key="tss")
    assert both.obs["perturbed"].tolist() == [True] + [False] * 4
    assert (both.layers["signal"].sum(axis=1) == 0).sum() == 1
    with pytest.raises(ValueError, match="there are no edits"):
        sct.tl.apply_edits(adata, [], genes=genes)


def test_names_are_strings_of_whatever_kind(adata, hears):
    """From pandas 3 on names are of its own type of strings, to which numbers cannot be added."""
    before = sct.tl.apply_edits(adata, sct.tl.Edit.remove(), genes=adata.obs_names[:2], neighbors_key="tss").obs_names
    own_strings = pd.option_context("future.infer_string", True) if pd.__version__ < "3" else nullcontext()
    with own_strings:
        changed = adata.copy()
        changed.obs.index = pd.Index(adata.obs_names.to_list())
        for key in ("tss", None):
            found = sct.tl.apply_edits(changed, sct.tl.Edit.remove(), genes=adata.obs_names[:2], neighbors_key=key)
            assert found.obs_names.to_list() == before.to_list()[: found.n_obs]


def test_genes_perturbed_together_are_each_perturbed_alone(adata, hears):
    genes = [GENE, *heard_by(adata, GENE)]
    assert any(GENE in heard_by(adata, gene) for gene in genes[1:]), "some hear each other"
    for edit in (Edit.remove(mark=K4), Edit.remove(mark=K4, of="neighbors")):
        together = sct.tl.perturb(adata, hears, edit, genes=adata.obs_names[genes])
        single = [sct.tl.perturb(adata, hears, edit, genes=adata.obs_names[gene]) for gene in genes]
        pd.testing.assert_frame_equal(together, pd.concat(single, ignore_index=True), atol=1e-5)
        np.testing.assert_allclose(
            together["log_expression_before"], hears.predict()["log_expression"].iloc[genes], atol=1e-5, rtol=0
        )


def test_chunks_and_the_order_asked_for_change_nothing(adata, hears, monkeypatch):
    order = np.random.default_rng(0).permutation(adata.n_obs)
    edit = Edit.scale(0.5, mark=K36)
    whole = sct.tl.perturb(adata, hears, edit)
    assert whole["gene"].tolist() == adata.obs_names.tolist()
    monkeypatch.setattr(_perturb, "_CHUNK", 64)
    mixed = sct.tl.perturb(adata, hears, edit, genes=adata.obs_names[order], progress=False)
    pd.testing.assert_frame_equal(mixed, whole.iloc[order].reset_index(drop=True), atol=1e-5)
    doses = sct.tl.dose_response(adata, hears, K36, genes=adata.obs_names[order], doses=[0.5, 1], progress=False)
    assert doses["gene"].tolist() == np.repeat(adata.obs_names[order], 2).tolist()
    np.testing.assert_allclose(doses["log_expression"].iloc[::2], mixed["log_expression_after"], atol=1e-5, rtol=0)


def test_nothing_of_the_caller_is_touched(adata, hears):
    whole = prepare(sct.datasets.simulate(600))
    view = whole[np.arange(600)[::-1]]
    before = copy.deepcopy(whole), copy.deepcopy(hears.module.state_dict()), torch.get_rng_state()
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the caller's global generator
    for data in (whole, view):
        gene = data.obs_names[GENE]
        sct.tl.perturb(data, hears, [Edit.remove(), Edit.set(3, of="neighbors")], genes=gene)
        sct.tl.dose_response(data, hears, K4, genes=gene)
        sct.tl.saturate(data, hears, gene)

        def spoil(_: object, data: ad.AnnData) -> None:
            data.X[:] = -1
            data.layers["signal"][:] = -1
            data.obs["symbol"] = "x"
            data.uns["normalize"]["center"][:] = 0
            data.uns["windows"]["anchor"] = "x"

        sct.tl.perturb_with(data, hears, Edit.remove(), spoil, genes=gene)
    assert view.is_view
    np.testing.assert_array_equal(whole.X, before[0].X)
    np.testing.assert_array_equal(whole.layers["signal"], before[0].layers["signal"])
    np.testing.assert_array_equal(whole.uns["normalize"]["center"], before[0].uns["normalize"]["center"])
    for name in ("obs", "var"):
        pd.testing.assert_frame_equal(getattr(whole, name), getattr(before[0], name))
    pd.testing.assert_frame_equal(whole.uns["windows"], before[0].uns["windows"])
    assert list(whole.uns) == list(before[0].uns)
    assert (whole.obsp["tss_distances"] != before[0].obsp["tss_distances"]).nnz == 0
    for name, value in hears.module.state_dict().items():
        assert torch.equal(value, before[1][name])
    assert torch.equal(torch.get_rng_state(), before[2])
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_a_view_gives_what_the_whole_gives(adata, hears):
    view = adata[:, :]
    edit = Edit.scale(0.3, mark=K4)
    genes = adata.obs_names[[GENE, 3]]
    pd.testing.assert_frame_equal(
        sct.tl.perturb(view, hears, edit, genes=genes), sct.tl.perturb(adata, hears, edit, genes=genes)
    )


@pytest.mark.parametrize("kind", ["ensemble", "adapted", "classification", "regression"])
def test_every_kind_of_model(adata, hears, kind):
    if kind == "adapted":
        model = hears.adapt(adata)
    else:
        model = trained(adata, **({"n_models": 2} if kind == "ensemble" else {"task": kind}))
    edit, change = edits_by_hand(adata)["set"]
    table = sct.tl.perturb(adata, model, edit, genes=adata.obs_names[GENE])
    if kind in ("ensemble", "adapted"):
        assert_predicts(table, by_hand(model, adata, change))
    value = {"classification": "log_odds", "regression": "log_expression"}.get(kind)
    if value is not None:
        assert [name for name in table if name.endswith("_change")] == [f"{value}_change"]
        assert table[f"{value}_change"].iloc[0] != 0


def test_genes_without_neighbours_are_served_and_counted(adata, hears, caplog):
    lonely = adata.copy()
    for slot in ("tss_connectivities", "tss_distances"):
        matrix = lonely.obsp[slot].tolil()
        matrix[GENE] = 0
        lonely.obsp[slot] = matrix.tocsr()
    genes = lonely.obs_names[[GENE, 3]]
    table = sct.tl.perturb(lonely, hears, Edit.remove(of="neighbors"), genes=genes)
    assert table["log_expression_change"].iloc[0] == 0
    assert table["log_expression_change"].iloc[1] != 0
    assert "1 of 2 genes have no neighbours" in caplog.text
    scan = sct.tl.saturate(lonely, hears, genes, edit=Edit.remove(of="neighbors"), progress=False)
    changed = scan.groupby("gene", observed=True)["log_expression_change"].agg(lambda change: (change != 0).any())
    assert changed.loc[genes].tolist() == [False, True]
    edit, change = edits_by_hand(lonely)["set"]
    own = sct.tl.perturb(lonely, hears, edit, genes=genes[0])
    assert_predicts(own, by_hand(hears, lonely, change))
    with pytest.raises(ValueError, match=r"is no neighbour of 1 of 1 genes asked for, .* which hears none"):
        sct.tl.perturb(lonely, hears, Edit.remove(of="neighbors"), genes=genes[0])


# closed forms of the signal


@pytest.fixture
def layout(adata: ad.AnnData) -> Layout:
    return Layout.of(adata)


def test_a_shift_moves_whole_and_part_bins_and_repeats_the_edge(adata, layout):
    signal = np.zeros((1, adata.n_vars), dtype=np.float32)
    k4, body = columns(adata, K4, "tss"), columns(adata, K36, "body")
    signal[0, k4[40]], signal[0, k4[0]] = 8, 2
    down = layout.apply(Edit.shift(150, mark=K4, region="tss"), signal)[0, k4]
    assert dict(zip(np.flatnonzero(down), down[down > 0], strict=True)) == {0: 2, 1: 2, 2: 1, 41: 4, 42: 4}
    up = layout.apply(Edit.shift(-1_000, mark=K4, region="tss"), signal)[0, k4]
    assert dict(zip(np.flatnonzero(up), up[up > 0], strict=True)) == {30: 8}
    signal[0, body[10]] = 6
    along = layout.apply(Edit.shift(0.1, region="body"), signal)
    assert np.flatnonzero(along[0, body]).tolist() == [12]
    np.testing.assert_array_equal(along[0, k4], signal[0, k4])
    back = layout.apply(Edit.shift(-0.1, region="body"), along)
    np.testing.assert_allclose(back, signal)


def test_swaps_undo_themselves_and_keep_to_the_stretch(adata, layout):
    signal = adata.layers["signal"][:5]
    edit = Edit.swap(K4, K27, region="tss", start=-500, end=500)
    swapped = layout.apply(edit, signal)
    own, other = (columns(adata, mark, "tss", -500, 500) for mark in (K4, K27))
    np.testing.assert_array_equal(swapped[:, own], signal[:, other])
    changed = (swapped != signal).any(axis=0)
    assert set(np.flatnonzero(changed)) <= {*own, *other}
    np.testing.assert_array_equal(layout.apply(edit, swapped), signal)


# signal to X


@pytest.mark.parametrize("method", ["log1p", "paper", "quantile"])
def test_unchanged_signal_gives_x_back(method):
    adata = prepare(sct.datasets.simulate(1_000), method=method)
    again = np.full_like(adata.X, np.nan)
    Renormalizer(adata).fill(
        again, adata.layers["signal"], where=np.ones(adata.shape, dtype=bool), rows=np.arange(adata.n_obs)
    )
    if method == "quantile":
        np.testing.assert_allclose(again, adata.X, rtol=0, atol=2e-6)
    else:
        np.testing.assert_array_equal(again, adata.X)


def test_quantiles_are_interpolated_and_go_on_in_proportion():
    adata = prepare(sct.datasets.simulate(1_000), method="quantile")
    k4 = columns(adata, K4, "tss")
    observed = np.unique(adata.layers["signal"][:, k4])
    x_of = dict(zip(adata.layers["signal"][:, k4].ravel(), adata.X[:, k4].ravel(), strict=True))
    new = np.zeros((6, adata.n_vars), dtype=np.float32)
    middle, top = (observed[5] + observed[6]) / 2, observed[-1]
    new[:, k4[0]] = [0, observed[5], middle, top, 2 * top, 3 * top]
    x = np.zeros_like(new)
    where = np.zeros(new.shape, dtype=bool)
    where[:, k4[0]] = True
    Renormalizer(adata).fill(x, new, where=where, rows=np.zeros(6, dtype=int))
    assert not x[~where].any()
    got = x[:, k4[0]]
    constants = adata.uns["normalize"]
    center, scale = constants["center"][0], constants["scale"][0]
    assert got[0] == pytest.approx(x_of[0], abs=1e-6)
    assert got[1] == pytest.approx(x_of[observed[5]], abs=1e-6)
    assert got[2] == pytest.approx((x_of[observed[5]] + x_of[observed[6]]) / 2, abs=1e-6)
    even = np.expm1(got[3:].astype(float) * scale + center)
    np.testing.assert_allclose(even / even[0], [1, 2, 3], rtol=1e-4)
    assert (np.diff(got) > 0).all()
    adata.X[:, k4] += 1
    again = np.zeros_like(new)
    Renormalizer(adata).fill(again, new, where=where, rows=np.zeros(6, dtype=int))
    assert again[1, k4[0]] == pytest.approx(x_of[observed[5]] + 1, abs=1e-5)


def test_quantile_edits_are_nearly_what_normalising_all_genes_again_makes(caplog):
    adata = sct.datasets.simulate(1_000)
    adata.X = (adata.X * np.random.default_rng(0).uniform(0.5, 1.5, adata.shape)).astype(np.float32)  # no ties
    prepare(adata, method="quantile")
    model = trained(adata)
    for action in ("set", "shift", "transplant"):
        edit, change = edits_by_hand(adata)[action]
        expected = by_hand(model, adata, change)
        table = sct.tl.perturb(adata, model, edit, genes=adata.obs_names[GENE])
        after = expected.loc[table["gene"].iloc[0]]
        assert table["log_expression_after"].iloc[0] == pytest.approx(after["log_expression"], abs=2e-4)
        assert abs(table["log_expression_change"].iloc[0]) > 5e-4


def test_stacked_cell_types_keep_to_their_own(caplog):
    first, second = sct.datasets.simulate(300), sct.datasets.simulate(300)
    second.X = (second.X * 4).astype(np.float32)
    both = prepare(sct.pp.stack_cell_types({"A": first, "B": second}), method="quantile")
    model = trained(both, neighbors_key="tss")
    gene, other = both.obs_names[GENE].split(":")[0], both.obs_names[40].split(":")[0]
    symbol = str(both.obs["symbol"].iloc[40])
    by_symbol = sct.tl.perturb(both, model, Edit.transplant(symbol, mark=K4), genes=[f"{gene}:A", f"{gene}:B"])
    for cell, change in zip("AB", by_symbol["log_expression_change"], strict=True):
        by_id = sct.tl.perturb(both, model, Edit.transplant(f"{other}:{cell}", mark=K4), genes=f"{gene}:{cell}")
        assert change == pytest.approx(by_id["log_expression_change"].iloc[0], abs=1e-6)
    # B is A at four times the signal, which quantiles undo: its own scale alone gives the same X
    data = sct.tl.perturb_with(
        both, model, Edit.scale(0.5, mark=K4), lambda *_: None, genes=by_symbol["gene"]
    ).data_after
    k4 = columns(both, K4, "tss")
    np.testing.assert_allclose(data.X[0, k4], data.X[1, k4], atol=1e-5)


def test_signal_of_a_mark_that_a_cell_type_lacks_has_no_scale_after_quantiles(caplog):
    first, second = sct.datasets.simulate(200), sct.datasets.simulate(200)
    second.X[:, columns(second, K27, "body")] = 0
    both = prepare(sct.pp.stack_cell_types({"A": first, "B": second}), method="quantile")
    model = trained(both)
    gene = both.obs_names[3].split(":")[0]
    assert len(sct.tl.perturb(both, model, Edit.set(2, mark=K27, region="body"), genes=f"{gene}:A")) == 1
    with pytest.raises(ValueError, match="no gene of cell type 'B' has signal of H3K27me3 in region 'body'"):
        sct.tl.perturb(both, model, Edit.set(2, mark=K27, region="body"), genes=f"{gene}:B")


# functions


def test_any_function_runs_before_and_after(adata, hears):
    genes = adata.obs_names[[GENE, 3]]
    edit = Edit.set(9, mark=K4, of="neighbors")
    result = sct.tl.perturb_with(adata, hears, edit, sct.SimpleChrome.predict, genes=genes)
    table = sct.tl.perturb(adata, hears, edit, genes=genes)
    for when in ("before", "after"):
        np.testing.assert_allclose(
            getattr(result, when)["log_expression"].loc[genes], table[f"log_expression_{when}"], atol=1e-5, rtol=0
        )
    data = result.data_after
    heard = np.unique(np.concatenate([heard_by(adata, row) for row in (GENE, 3)]))
    assert data.n_obs == 2 + len(heard), "no more genes than are needed"
    assert data.obs_names[:2].tolist() == genes.tolist()
    assert data.obs_names[2:].tolist() == [f"{name} (neighbour)" for name in adata.obs_names[heard]]
    assert data.obs["perturbed"].tolist() == [True] * 2 + [False] * len(heard)
    assert data.obsp["tss_connectivities"][2:].nnz == 0
    assert set(adata.uns) == set(data.uns)


def test_a_plain_network_is_asked_with_a_function(adata):
    net = torch.nn.Linear(adata.n_vars, 1, bias=False)
    with torch.no_grad():
        net.weight[:] = 1

        def total(net: torch.nn.Module, data: ad.AnnData) -> np.ndarray:
            data.obs["total"] = net(torch.as_tensor(data.X)).detach().numpy()[:, 0]
            return data.obs["total"].to_numpy()

    k4 = columns(adata, K4, "tss")
    result = sct.tl.perturb_with(adata, net, Edit.set(3, mark=K4, region="tss"), total, genes=adata.obs_names[:4])
    constants = adata.uns["normalize"]
    value = (np.log1p(3) - constants["center"][0]) / constants["scale"][0]
    np.testing.assert_allclose(
        result.after - result.before, 100 * value - adata.X[:4, k4].sum(axis=1), rtol=1e-3, atol=1e-3
    )
    assert "total" in result.data_before.obs
    with pytest.raises(TypeError, match=r"the model is a Linear; .* sct\.tl\.perturb_with"):
        sct.tl.perturb(adata, net, Edit.remove())
    with pytest.raises(ValueError, match="the model hears no neighbours"):
        sct.tl.perturb_with(adata, net, Edit.remove(of="neighbors"), total)


# doses and saturation


def test_doses_begin_at_removal_and_pass_through_the_prediction(adata, hears, caplog):
    caplog.set_level(logging.INFO)
    genes = adata.obs_names[:6]
    table = sct.tl.dose_response(adata, hears, K4, genes=genes, region="tss")
    assert table["gene"].tolist() == np.repeat(genes, 9).tolist()
    assert table["dose"].iloc[:9].tolist() == np.linspace(0, 2, 9).tolist()
    assert table.columns.tolist() == ["gene", "symbol", "mark", "dose", "probability", "log_odds", "log_expression"]
    at = table.set_index("dose")
    np.testing.assert_allclose(
        at.loc[1, "log_expression"], hears.predict().loc[genes, "log_expression"], atol=1e-5, rtol=0
    )
    removed = sct.tl.perturb(adata, hears, Edit.remove(mark=K4, region="tss"), genes=genes)
    np.testing.assert_allclose(at.loc[0, "probability"], removed["probability_after"], atol=1e-6, rtol=0)
    log_odds = np.log(table["probability"] / (1 - table["probability"]))
    np.testing.assert_allclose(table["log_odds"], log_odds, atol=1e-4)
    silent = adata.copy()
    silent.layers["signal"][0, columns(adata, K4, "tss")] = 0
    silent.X = silent.layers.pop("signal")
    del silent.uns["normalize"]
    sct.pp.normalize(silent, reference=hears.normalization)
    flat = sct.tl.dose_response(silent, hears, K4, genes=genes, region="tss")
    assert flat.query("gene == @genes[0]")["log_expression"].nunique() == 1
    assert "1 of 6 genes have no H3K4me3 there: their curves are flat" in caplog.text


def test_doses_where_others_were_edited_before(adata, hears):
    gene = adata.obs_names[GENE]
    first = [Edit.scale(3, mark=K36), Edit.remove(of="neighbors")]
    table = sct.tl.dose_response(adata, hears, K4, doses=[0, 0.5, 1], genes=gene, region="tss", edits=first)
    for dose, expression in zip(table["dose"], table["log_expression"], strict=True):
        edits = [*first, Edit.scale(dose, mark=K4, region="tss")]
        after = sct.tl.perturb(adata, hears, edits, genes=gene)["log_expression_after"].iloc[0]
        assert expression == pytest.approx(after, abs=1e-5)
    of_neighbor = str(adata.obs_names[heard_by(adata, GENE)[0]])
    together = sct.tl.dose_response(adata, hears, None, doses=[0], genes=gene, of=of_neighbor, edits=first[0])
    after = sct.tl.perturb(adata, hears, [first[0], Edit.remove(of=of_neighbor)], genes=gene)["log_expression_after"]
    assert together["log_expression"].to_numpy() == pytest.approx(after.to_numpy(), abs=1e-5)
    assert together["mark"].tolist() == ["all marks"]


@pytest.mark.parametrize("of", ["gene", "neighbors", "one"])
def test_saturation_is_one_perturbation_per_bin(adata, hears, of):
    gene = adata.obs_names[GENE]
    of = str(adata.obs_names[heard_by(adata, GENE)[2]]) if of == "one" else of
    table = sct.tl.saturate(adata, hears, gene, edit=Edit.scale(0.2, of=of), width=3)
    assert len(table) == adata.n_vars
    scanned = table.set_index(["mark", "region", "bin"])
    for mark, region, place, start, end in (
        (K4, "tss", 50, -100, 200),
        (K36, "body", 0, 0, 0.1),
        (K27, "tss", 99, 4_800, 5_000),
    ):
        edit = Edit.scale(0.2, mark=mark, region=region, start=start, end=end, of=of)
        one = sct.tl.perturb(adata, hears, edit, genes=gene)
        for value in ("log_odds_change", "log_expression_change"):
            assert scanned.loc[(mark, region, place), value] == pytest.approx(one[value].iloc[0], abs=1e-5)
    signal = adata.layers["signal"][[GENE] if of == "gene" else heard_by(adata, GENE)]
    if of in ("gene", "neighbors"):
        np.testing.assert_allclose(table["signal"], signal.mean(axis=0), rtol=1e-5)


def test_saturation_of_several_genes_is_that_of_each_and_zero_where_nothing_is(adata, hears, monkeypatch):
    genes = adata.obs_names[[40, 3, 111]]
    together = sct.tl.saturate(adata, hears, genes, progress=False)
    monkeypatch.setattr(_saturate, "_BATCH", 1)
    alone = [sct.tl.saturate(adata, hears, gene) for gene in genes]
    assert together["gene"].astype(str).tolist() == np.repeat(genes, adata.n_vars).tolist()
    for value in ("log_odds_change", "log_expression_change", "signal"):
        np.testing.assert_allclose(together[value], np.concatenate([part[value] for part in alone]), atol=1e-5)
    empty = together["signal"] == 0
    assert empty.any()
    assert not together.loc[empty, ["log_odds_change", "log_expression_change"]].to_numpy().any()
    assert together.loc[~empty, "log_odds_change"].ne(0).mean() > 0.9
    assert together["start_bp"].tolist() == np.tile(adata.var["start_bp"], 3).tolist()


def test_saturation_keeps_to_mark_and_stretch(adata, alone):
    edit = Edit.set(20, mark=K36, region="tss", start=0, end=1_000)
    table = sct.tl.saturate(adata, alone, adata.obs_names[GENE], edit=edit)
    assert set(table["mark"]) == {K36}
    assert table["start_bp"].tolist() == np.arange(0, 1_000, 100).tolist()
    gene = adata.obs_names[GENE]
    everywhere = sct.tl.saturate(adata, alone, gene, edit=Edit.set(20, mark=K36, region="tss"))
    inside = everywhere[everywhere["start_bp"].between(0, 900)]
    np.testing.assert_allclose(table["log_odds_change"], inside["log_odds_change"], atol=1e-5)


# bad input


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: Edit.scale(-1), "factor is -1; expected a finite number of at least 0"),
        (lambda: Edit.scale(float("nan")), "factor is nan"),
        (lambda: Edit.set(-0.1), "signal to set is -0.1; expected a finite number of at least 0"),
        (lambda: Edit.set(float("inf")), "signal to set is inf"),
        (lambda: Edit.shift(float("nan")), "distance to shift by is nan"),
        (lambda: Edit.remove(start=5, end=5), "from 5 to 5; expected start below end"),
        (lambda: Edit.remove(start=float("nan")), "start is nan"),
        (lambda: Edit.swap(K4, K4), "expected two marks"),
        (lambda: Edit("swap", K4), "expected two marks"),
        (lambda: Edit("transplant", 3), "names 3; expected the name of a gene"),
        (lambda: Edit("invert", 1), "action is 'invert'; choose one of set, scale, shift, swap, transplant"),
    ],
)
def test_edits_that_make_no_sense(edit, message):
    with pytest.raises(ValueError, match=message):
        edit()


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([], "there are no edits; expected one at least, such as"),
        (Edit.remove(mark="H3K4me9"), "no mark 'H3K4me9'; choose one of H3K4me3, H3K4me1, "),
        (Edit.swap(K4, "H4"), "no mark 'H4'"),
        (Edit.remove(region="tes"), "no region 'tes'; choose one of tss, body"),
        (Edit.remove(start=0, end=100), r"of which region\? .*tss \(-5000 to 5000 bp\), body \(0 to 1\)"),
        (Edit.remove(region="tss", start=4_000, end=6_000), r"4000 to 6000 lies outside the window; .*-5000 to 5000"),
        (Edit.remove(region="body", end=1_000), "0 to 1000 lies outside the window"),
        (Edit.remove(region="tss", start=10, end=40), "between the middles of two bins"),
        (Edit.shift(100), "a shift of which region"),
        (Edit.shift(10_000, region="tss"), "moves everything out of the window; regions here: tss"),
        (Edit.shift(-1, region="body"), "moves everything out of the window"),
        (Edit.scale(1e39, mark=K4), "makes the signal infinite"),
        (Edit.transplant("nobody"), "no gene 'nobody' among 600"),
        (Edit.remove(of="nobody"), "no gene 'nobody' among 600"),
    ],
)
def test_edits_that_do_not_fit_the_data(adata, hears, edits, message):
    with pytest.raises(ValueError, match=message):
        sct.tl.perturb(adata, hears, edits, genes=adata.obs_names[GENE])


def test_neighbours_that_are_none(adata, alone, hears):
    gene = adata.obs_names[GENE]
    stranger = next(name for i, name in enumerate(adata.obs_names) if i not in {GENE, *heard_by(adata, GENE)})
    heard = adata.obs["symbol"].iloc[heard_by(adata, GENE)[0]]
    with pytest.raises(ValueError, match=rf"'{stranger}' is no neighbour of 1 of 1 genes .* which hears {heard}, "):
        sct.tl.perturb(adata, hears, Edit.remove(of=stranger), genes=gene)
    with pytest.raises(ValueError, match=r"hears no neighbours: .*SimpleChrome\(adata, neighbors_key='tss'\)"):
        sct.tl.perturb(adata, alone, Edit.remove(of="neighbors"), genes=gene)
    with pytest.raises(ValueError, match="hears no neighbours"):
        sct.tl.dose_response(adata, alone, K4, genes=gene, of=heard)
    without = adata.copy()
    del without.obsp["tss_distances"]
    with pytest.raises(ValueError, match="obsp has no tss_distances"):
        sct.tl.perturb(without, hears, Edit.remove(), genes=gene)


def test_models_and_data_that_cannot_answer(adata, alone):
    gene = adata.obs_names[GENE]
    with pytest.raises(RuntimeError, match=r"run model\.train\(\) first"):
        sct.tl.perturb(adata, sct.SimpleChrome(adata), Edit.remove(), genes=gene)
    with pytest.raises(TypeError, match=r"edits hold a float; expected edits such as sct\.tl\.Edit\.scale"):
        sct.tl.perturb(adata, alone, [0.5], genes=gene)
    raw = sct.datasets.simulate(600)
    with pytest.raises(ValueError, match="X is not normalised"):
        sct.tl.perturb(raw, alone, Edit.remove(), genes=gene)
    for layer, value, message in (
        ("signal", np.nan, "1 of the genes that are needed hold missing or infinite signal"),
        ("signal", -1, "negative signal"),
        ("signal", 1e3, "X that is not what its signal is normalised to"),
        (None, np.nan, "X that is missing or infinite"),
    ):
        broken = adata.copy()
        (broken.X if layer is None else broken.layers[layer])[GENE, 7] = value
        with pytest.raises(ValueError, match=rf"{message}, such as '{gene}' in '{adata.var_names[7]}'"):
            sct.tl.perturb(broken, alone, Edit.remove(), genes=gene)
    lost = adata.copy()
    del lost.layers["signal"]
    with pytest.raises(ValueError, match="layers has no 'signal'"):
        sct.tl.perturb(lost, alone, Edit.remove(), genes=gene)


def test_doses_and_scans_that_make_no_sense(adata, alone):
    gene = adata.obs_names[GENE]
    with pytest.raises(ValueError, match="factor is -1"):
        sct.tl.dose_response(adata, alone, K4, doses=[-1, 1], genes=gene)
    for doses in ([], [[1, 2]]):
        with pytest.raises(ValueError, match="doses has shape"):
            sct.tl.dose_response(adata, alone, K4, doses=doses, genes=gene)
    with pytest.raises(ValueError, match="width is 0; expected 1 bin or more"):
        sct.tl.saturate(adata, alone, gene, width=0)
    with pytest.raises(
        ValueError, match="the edit is a shift, which moves signal; expected one bin by bin: set, scale"
    ):
        sct.tl.saturate(adata, alone, gene, edit=Edit.shift(100, region="tss"))


# plots


def test_dose_response_draws_genes_or_groups(adata, alone):
    table = sct.tl.dose_response(adata, alone, K4, genes=adata.obs_names[:30])
    ax = sct.pl.dose_response(table)
    assert ax.get_xlabel() == "signal of H3K4me3 (times measured)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["30 genes"]
    median = table.groupby("dose")["probability"].median()
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), median)
    few = sct.pl.dose_response(table[table["gene"].isin(adata.obs_names[:2])], value="log_expression")
    assert [text.get_text() for text in few.get_legend().get_texts()] == adata.obs["symbol"].iloc[:2].tolist()
    grouped = sct.pl.dose_response(table.join(adata.obs["label"], on="gene"), groupby="label")
    sizes = adata.obs["label"].iloc[:30].value_counts()
    assert [text.get_text() for text in grouped.get_legend().get_texts()] == [
        f"{label} ({sizes[label]} genes)" for label in ("low", "high")
    ]
    with pytest.raises(ValueError, match=r"no column logit; expected what sct\.tl\.dose_response returns"):
        sct.pl.dose_response(table, value="logit")
    two = pd.concat([table, table.assign(mark=K27)])
    with pytest.raises(ValueError, match="holds H3K4me3, H3K27me3; draw one mark, or groupby='mark'"):
        sct.pl.dose_response(two)
    assert len(sct.pl.dose_response(two, groupby="mark").get_legend().get_texts()) == 2
    with pytest.raises(ValueError, match="'label' is missing throughout"):
        sct.pl.dose_response(table.assign(label=None), groupby="label")


def test_dose_response_marks_a_dose_on_the_curve(adata, alone):
    table = sct.tl.dose_response(adata, alone, None, doses=[0, 1, 2], genes=adata.obs_names[:2])
    ax = sct.pl.dose_response(table, value="log_expression", dose=1.5)
    assert ax.get_xlabel() == "signal of all marks (times measured)"
    marked = [line for line in ax.get_lines() if line.get_marker() == "D"]
    expected = table.query("dose >= 1").groupby("gene", sort=False)["log_expression"].mean()
    np.testing.assert_allclose([line.get_ydata()[0] for line in marked], expected, rtol=1e-5)
    assert [line.get_xdata()[0] for line in marked] == [1.5, 1.5]


def test_perturb_draws_both_predictions_with_their_intervals(adata, alone):
    genes = adata.obs_names[:3]
    table = sct.tl.perturb(adata, alone, Edit.remove(mark=K4), genes=genes)
    for value in ("log_expression", "probability"):
        ax = sct.pl.perturb(table, value=value)
        assert [label.get_text() for label in ax.get_yticklabels()] == adata.obs["symbol"].iloc[:3].tolist()
        points = [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "o"]
        np.testing.assert_allclose(points, table[[f"{value}_before", f"{value}_after"]].to_numpy(float).ravel())
        bars = [line.get_xdata() for line in ax.get_lines() if line.get_marker() != "o"]
        names = [f"{value}_{bound}_{when}" for when in ("before", "after") for bound in ("low", "high")]
        np.testing.assert_allclose(np.ravel(bars), table[names].to_numpy(float).ravel())
    with pytest.raises(ValueError, match=r"no column symbol.* expected what sct\.tl\.perturb returns"):
        sct.pl.perturb(table.drop(columns="symbol"))
    with pytest.raises(ValueError, match="the table holds 21 genes; choose from 1 to 20"):
        sct.pl.perturb(pd.concat([table] * 7))


def test_edited_marks_are_drawn_over_the_measured(adata):
    gene = adata.obs_names[GENE]
    edited = sct.tl.apply_edits(adata, Edit.scale(2.5, mark=K4, region="tss"), genes=gene)
    axes = sct.pl.edited(adata, edited, gene)
    assert axes.shape == (5, 2)
    measured, changed = axes[0, 0].patches
    np.testing.assert_array_equal(measured.get_data().values, adata.layers["signal"][GENE, columns(adata, K4, "tss")])
    np.testing.assert_allclose(changed.get_data().values, 2.5 * measured.get_data().values)
    assert axes[0, 0].get_ylim()[1] > changed.get_data().values.max()
    assert [len(ax.patches) for ax in axes.flat[1:]] == [1] * 9, "the others are as measured"
    assert [text.get_text() for text in axes[0, 0].figure.legends[0].get_texts()] == ["as measured", "edited"]
    with pytest.raises(ValueError, match="the edited data have 599 columns, others than the 600 measured"):
        sct.pl.edited(adata, edited[:, 1:], gene)
    with pytest.raises(ValueError, match="no gene"):
        sct.pl.edited(adata, edited, adata.obs_names[GENE + 1])


def test_saturation_draws_marks_by_bins(adata, alone):
    genes = adata.obs_names[:2]
    table = sct.tl.saturate(adata, alone, genes, edit=Edit.set(9), width=5, progress=False)
    axes = sct.pl.saturation(adata, table)
    assert len(axes) == 2
    mesh = axes[0].collections[0]
    expected = table["log_odds_change"].to_numpy().reshape(2, -1).mean(axis=0)[:500].reshape(5, 100)
    np.testing.assert_allclose(mesh.get_array(), expected, rtol=1e-5)
    assert mesh.norm.vmin == -mesh.norm.vmax
    assert axes[0].figure.get_suptitle() == "mean of 2 genes"
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(dict.fromkeys(adata.var["mark"]))
    one = sct.pl.saturation(adata, table, gene=genes[1])
    assert one[0].figure.get_suptitle() == adata.obs["symbol"].iloc[1]
    part = sct.tl.saturate(adata, alone, genes[0], edit=Edit.set(9, mark=K36, region="body", start=0.5))
    assert len(sct.pl.saturation(adata, part)) == 1
    with pytest.raises(ValueError, match="the table has no gene 'nobody'; it holds SIM"):
        sct.pl.saturation(adata, table, gene="nobody")
    with pytest.raises(ValueError, match=r"no column change; expected what sct\.tl\.saturate returns"):
        sct.pl.saturation(adata, table, value="change")


# real genes


def test_real_marks_act_as_biology_says(e116):
    model = sct.load_pretrained()
    adata = e116.copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, reference=model.normalization)
    valid = (adata.obs["split"] == "valid").to_numpy()
    signal = {mark: adata.layers["signal"][:, (adata.var["mark"] == mark).to_numpy()].max(axis=1) for mark in (K4, K27)}
    for mark, label, sign, least in ((K4, "high", 1, 0.95), (K27, "low", -1, 0.8)):
        chosen = np.flatnonzero(valid & (adata.obs["label"] == label).to_numpy() & (signal[mark] > 0))[:300]
        doses = [0, 0.25, 0.5, 0.75, 1]
        table = sct.tl.dose_response(adata, model, mark, genes=adata.obs_names[chosen], doses=doses, progress=False)
        steps = np.diff(table["log_odds"].to_numpy().reshape(-1, len(doses)), axis=1)
        assert ((sign * steps) >= -1e-4).all(axis=1).mean() > least, mark

"""Predictions for edited genes: against the same edit made by hand, and on real genes."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from builders import BRIEF, assert_same_table, prepared, trained
from hand_edits import ACTIONS, GENE, K4, K27, K36, columns, edit_by_hand, neighbors_of, predict_by_hand

import simplechrome_tk as sct
from simplechrome_tk.tl import Edit
from simplechrome_tk.tl.perturbation import _predict


def perturb(adata, model, edits, **kwargs) -> pd.DataFrame:
    return sct.tl.perturb(adata, model, edits, copy=True, **kwargs).uns["perturb"]


def assert_predicts(table: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Compare the first gene of a table with the prediction of all genes."""
    row = table.iloc[0]
    for value in ("probability", "log_expression"):
        assert row[f"{value}_after"] == pytest.approx(expected.loc[row["gene"], value], abs=2e-5)


def train(adata, **settings) -> sct.SimpleChrome:
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, device="cpu", **settings)
    model.train(**BRIEF)
    return model


# against edits by hand


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("which", ["alone", "among"])
def test_an_edit_equals_the_same_edit_by_hand(adata, action, which, request):
    model = request.getfixturevalue(which)
    edit, change = edit_by_hand(adata, action)
    assert_predicts(perturb(adata, model, edit, genes=adata.obs_names[GENE]), predict_by_hand(model, adata, change))


@pytest.mark.parametrize("which", ["alone", "among"])
def test_predictions_before_are_those_of_predict(adata, which, request):
    model = request.getfixturevalue(which)
    row = perturb(adata, model, Edit.set(7.5, mark=K4), genes=adata.obs_names[GENE]).iloc[0]
    before = model.predict(adata).iloc[GENE]
    assert row["probability_before"] == pytest.approx(before["probability"], abs=2e-6)
    assert row["log_expression_before"] == pytest.approx(before["log_expression"], abs=1e-5)
    assert row["symbol"] == adata.obs["symbol"].iloc[GENE]


def test_changes_are_after_minus_before(adata, among):
    row = perturb(adata, among, Edit.set(7.5, mark=K4), genes=adata.obs_names[GENE]).iloc[0]
    change = row["log_expression_after"] - row["log_expression_before"]
    assert row["log_expression_change"] == pytest.approx(change, abs=1e-6)
    before, after = (row[f"probability_{when}"] for when in ("before", "after"))
    log_odds_change = np.log(after / (1 - after)) - np.log(before / (1 - before))
    assert row["log_odds_change"] == pytest.approx(log_odds_change, abs=1e-4)


@pytest.mark.parametrize("one", [False, True])
def test_an_edit_of_neighbours_equals_the_same_edit_by_hand(adata, among, one):
    rows = neighbors_of(adata, GENE)
    rows = rows[1:2] if one else rows
    on = str(adata.obs["symbol"].iloc[rows[0]]) if one else "neighbors"

    def change(signal: np.ndarray) -> None:
        signal[np.ix_(rows, columns(adata, K4, "tss"))] *= 3

    table = perturb(adata, among, Edit.scale(3, mark=K4, region="tss", on=on), genes=adata.obs_names[GENE])
    assert_predicts(table, predict_by_hand(among, adata, change))
    assert table["log_expression_change"].iloc[0] != 0


def test_edits_act_one_after_the_other_on_gene_and_neighbours(adata, among):
    rows = neighbors_of(adata, GENE)
    k4 = columns(adata, K4, "tss")

    def change(signal: np.ndarray) -> None:
        signal[GENE, k4] = 5 * 2
        signal[rows] = 0
        signal[np.ix_(rows[:1], k4)] = 4

    edits = [
        Edit.set(5, mark=K4, region="tss"),
        Edit.remove(on="neighbors"),
        Edit.scale(2, mark=K4, region="tss"),
        Edit.set(4, mark=K4, region="tss", on=adata.obs_names[rows[0]]),
    ]
    table = perturb(adata, among, edits, genes=adata.obs_names[GENE])
    assert_predicts(table, predict_by_hand(among, adata, change))


@pytest.mark.parametrize("value", ["probability", "log_expression"])
def test_intervals_are_those_of_predict_before_and_after(adata, among, value):
    gene = adata.obs_names[GENE]
    edit, change = edit_by_hand(adata, "set")
    row = perturb(adata, among, edit, genes=gene).iloc[0]
    before, after = among.predict(adata).loc[gene], predict_by_hand(among, adata, change).loc[gene]
    for bound in ("low", "high"):
        name = f"{value}_{bound}"
        assert row[f"{name}_before"] == pytest.approx(before[name], abs=1e-5)
        assert row[f"{name}_after"] == pytest.approx(after[name], abs=1e-5)
    assert row[f"{value}_low_after"] <= row[f"{value}_after"] <= row[f"{value}_high_after"]


@pytest.mark.parametrize("edit", [Edit.remove(mark=K4), Edit.remove(mark=K4, on="neighbors")])
def test_genes_perturbed_together_are_each_perturbed_by_themselves(adata, among, edit):
    rows = [GENE, *neighbors_of(adata, GENE)]
    assert any(GENE in neighbors_of(adata, row) for row in rows[1:]), "some are neighbours of each other"
    together = perturb(adata, among, edit, genes=adata.obs_names[rows])
    single = [perturb(adata, among, edit, genes=adata.obs_names[row]) for row in rows]
    pd.testing.assert_frame_equal(together, pd.concat(single, ignore_index=True), atol=1e-5)
    before = among.predict(adata)["log_expression"].iloc[rows]
    np.testing.assert_allclose(together["log_expression_before"], before, atol=1e-5, rtol=0)


def test_chunks_and_the_order_of_genes_change_nothing(adata, among, monkeypatch):
    order = np.random.default_rng(0).permutation(adata.n_obs)
    edit = Edit.scale(0.5, mark=K36)
    whole = perturb(adata, among, edit)
    assert whole["gene"].tolist() == adata.obs_names.tolist()
    monkeypatch.setattr(_predict, "_CHUNK", 64)
    mixed = perturb(adata, among, edit, genes=adata.obs_names[order], progress=False)
    pd.testing.assert_frame_equal(mixed, whole.iloc[order].reset_index(drop=True), atol=1e-5)


def test_a_view_gives_what_the_whole_gives(adata, among):
    edit, genes = Edit.scale(0.3, mark=K4), adata.obs_names[[GENE, 3]]
    pd.testing.assert_frame_equal(
        perturb(adata[:, :], among, edit, genes=genes), perturb(adata, among, edit, genes=genes)
    )


# results


def test_the_result_is_stored_and_survives_a_file(adata, among, round_trip):
    result = sct.tl.perturb(adata, among, Edit.remove(mark=K4), genes=adata.obs_names[:3], key_added="removal")
    assert result is None
    assert "perturb" not in adata.uns
    assert_same_table(round_trip(adata).uns["removal"], adata.uns["removal"])


def test_a_copy_holds_the_result_and_the_data_stay(adata, among):
    changed = sct.tl.perturb(adata, among, Edit.remove(mark=K4), genes=adata.obs_names[:3], copy=True)
    assert "perturb" in changed.uns
    assert "perturb" not in adata.uns


def test_names_are_stored_as_python_strings(adata, among):
    table = perturb(adata, among, Edit.remove(), genes=adata.obs_names[:2])
    assert table["gene"].dtype == table["symbol"].dtype == object


def test_something_else_under_the_key_is_not_replaced(adata, among):
    with pytest.raises(ValueError, match="key_added is 'windows'"):
        sct.tl.perturb(adata, among, Edit.remove(), key_added="windows")


def test_nothing_but_the_result_is_written(adata, among, state):
    before, weights, random = state(adata), copy.deepcopy(among.module.state_dict()), torch.get_rng_state()
    numpy_random = np.random.get_state()[1].copy()  # noqa: NPY002 - the caller's global generator
    gene = adata.obs_names[GENE]
    sct.tl.perturb(adata, among, [Edit.remove(), Edit.set(3, on="neighbors")], genes=gene)
    sct.tl.dose_response(adata, among, K4, genes=gene)
    sct.tl.saturate(adata, among, gene)
    for key in ("perturb", "dose_response", "saturate"):
        del adata.uns[key]
    assert state(adata) == before
    assert all(torch.equal(value, weights[name]) for name, value in among.module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_random)  # noqa: NPY002


def test_the_data_behind_a_view_stay(adata, among, state):
    before = state(adata)
    view = adata[np.arange(adata.n_obs)[::-1]]
    sct.tl.perturb(view, among, Edit.remove(), genes=view.obs_names[GENE])
    assert "perturb" in view.uns
    assert state(adata) == before


# kinds of models and data


@pytest.mark.parametrize("kind", ["ensemble", "adapted"])
def test_ensembles_and_adapted_models_are_perturbed(adata, among, kind):
    model = among.adapt(adata) if kind == "adapted" else trained(600, n_latent=6, n_hidden=32, n_models=2)[1]
    edit, change = edit_by_hand(adata, "set")
    assert_predicts(perturb(adata, model, edit, genes=adata.obs_names[GENE]), predict_by_hand(model, adata, change))


@pytest.mark.parametrize(("task", "present"), [("classification", "log_odds"), ("regression", "log_expression")])
def test_columns_are_those_of_the_task(adata, task, present):
    model = trained(600, n_latent=6, n_hidden=32, task=task)[1]
    table = perturb(adata, model, edit_by_hand(adata, "set")[0], genes=adata.obs_names[GENE])
    assert [name for name in table if name.endswith("_change")] == [f"{present}_change"]
    assert table[f"{present}_change"].iloc[0] != 0
    assert any("probability" in name for name in table) == (task == "classification")


@pytest.fixture
def lonely(adata):
    """The genes, one of which has no neighbours."""
    for slot in ("tss_connectivities", "tss_distances"):
        matrix = adata.obsp[slot].tolil()
        matrix[GENE] = 0
        adata.obsp[slot] = matrix.tocsr()
    return adata


def test_genes_without_neighbours_are_counted(lonely, among, caplog):
    genes = lonely.obs_names[[GENE, 3]]
    table = perturb(lonely, among, Edit.remove(on="neighbors"), genes=genes)
    assert (table["log_expression_change"] != 0).tolist() == [False, True]
    assert "1 of 2 genes have no neighbours" in caplog.text


def test_genes_without_neighbours_can_be_edited_themselves(lonely, among):
    edit, change = edit_by_hand(lonely, "set")
    assert_predicts(perturb(lonely, among, edit, genes=lonely.obs_names[GENE]), predict_by_hand(among, lonely, change))


def test_a_gene_without_any_neighbour_is_named(lonely, among):
    with pytest.raises(ValueError, match="whose neighbours are: none"):
        perturb(lonely, among, Edit.remove(on="neighbors"), genes=lonely.obs_names[GENE])


@pytest.mark.parametrize("action", ["set", "shift", "transplant"])
def test_quantile_edits_are_nearly_those_of_normalising_all_genes_again(action):
    adata = sct.datasets.simulate(1_000)
    adata.X = (adata.X * np.random.default_rng(0).uniform(0.5, 1.5, adata.shape)).astype(np.float32)  # no ties
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method="quantile")
    model = train(adata)
    edit, change = edit_by_hand(adata, action)
    row = perturb(adata, model, edit, genes=adata.obs_names[GENE]).iloc[0]
    expected = predict_by_hand(model, adata, change).loc[row["gene"], "log_expression"]
    assert row["log_expression_after"] == pytest.approx(expected, abs=2e-4)
    assert abs(row["log_expression_change"]) > 5e-4


@pytest.fixture
def stacked():
    """The same genes in cell types A and B, in B with four times the signal, which quantiles undo."""
    first, second = prepared(300, method=None), prepared(300, method=None)
    second.X = (second.X * 4).astype(np.float32)
    both = sct.pp.stack_cell_types({"A": first, "B": second})
    sct.pp.normalize(both, method="quantile")
    return both


def test_a_symbol_transplants_from_the_same_cell_type(stacked):
    model = train(stacked)
    gene, other = (stacked.obs_names[row].split(":")[0] for row in (GENE, 40))
    symbol = str(stacked.obs["symbol"].iloc[40])
    table = perturb(stacked, model, Edit.transplant(symbol, mark=K4), genes=[f"{gene}:A", f"{gene}:B"])
    for cell, change in zip("AB", table["log_expression_change"], strict=True):
        by_id = perturb(stacked, model, Edit.transplant(f"{other}:{cell}", mark=K4), genes=f"{gene}:{cell}")
        assert change == pytest.approx(by_id["log_expression_change"].iloc[0], abs=1e-6)


def test_quantiles_are_those_of_the_cell_type(stacked):
    gene = stacked.obs_names[GENE].split(":")[0]
    genes = [f"{gene}:A", f"{gene}:B"]
    edited = sct.tl.apply_edits(stacked, Edit.scale(0.5, mark=K4), genes=genes, copy=True)
    first, second = (edited[name].X[0, columns(stacked, K4, "tss")] for name in genes)
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_mark_that_a_cell_type_lacks_has_no_scale_after_quantiles():
    first, second = prepared(200, method=None), prepared(200, method=None)
    second.X[:, columns(second, K27, "body")] = 0
    both = sct.pp.stack_cell_types({"A": first, "B": second})
    sct.pp.normalize(both, method="quantile")
    model = train(both)
    gene = both.obs_names[3].split(":")[0]
    edit = Edit.set(2, mark=K27, region="body")
    assert len(perturb(both, model, edit, genes=f"{gene}:A")) == 1
    with pytest.raises(ValueError, match="cell type 'B' has signal of H3K27me3"):
        perturb(both, model, edit, genes=f"{gene}:B")


# invalid input


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([], "there are no edits"),
        (Edit.remove(mark="H3K4me9"), "no mark 'H3K4me9'; choose one of H3K4me3, "),
        (Edit.swap(K4, "H4"), "no mark 'H4'"),
        (Edit.remove(region="tes"), "no region 'tes'; choose one of tss, body"),
        (Edit.remove(start=0, end=100), r"of which region\? .*tss \(-5000 to 5000 bp\), body \(0 to 1\)"),
        (Edit.remove(region="tss", start=4_000, end=6_000), "4000 to 6000 lies outside the window"),
        (Edit.remove(region="body", end=1_000), "0 to 1000 lies outside the window"),
        (Edit.remove(region="tss", start=10, end=40), "between the middles of two bins"),
        (Edit.shift(100), "a shift of which region"),
        (Edit.shift(10_000, region="tss"), "out of the window; regions here: tss"),
        (Edit.shift(-1, region="body"), "out of the window"),
        (Edit.scale(1e39, mark=K4), "makes the signal infinite"),
        (Edit.transplant("nobody"), "no gene 'nobody'"),
        (Edit.remove(on="nobody"), "no gene 'nobody'"),
    ],
)
def test_edits_that_do_not_fit_the_data(adata, among, edits, message):
    with pytest.raises(ValueError, match=message):
        perturb(adata, among, edits, genes=adata.obs_names[GENE])


def test_something_else_among_the_edits_is_named(adata, alone):
    with pytest.raises(TypeError, match=r"edits hold a float; .*sct\.tl\.Edit\.scale"):
        perturb(adata, alone, [0.5])


def test_a_gene_that_is_no_neighbour_is_named_with_those_that_are(adata, among):
    neighbors = neighbors_of(adata, GENE)
    stranger = next(name for row, name in enumerate(adata.obs_names) if row not in {GENE, *neighbors})
    first = adata.obs["symbol"].iloc[neighbors[0]]
    with pytest.raises(ValueError, match=rf"'{stranger}' is no neighbour of 1 .*{first}"):
        perturb(adata, among, Edit.remove(on=stranger), genes=adata.obs_names[GENE])


def test_neighbours_of_a_model_without_any_are_refused(adata, alone):
    with pytest.raises(ValueError, match=r"SimpleChrome\(adata, neighbors_key='tss'\)"):
        perturb(adata, alone, Edit.remove(on="neighbors"), genes=adata.obs_names[GENE])


def test_a_missing_graph_is_named(adata, among):
    del adata.obsp["tss_distances"]
    with pytest.raises(ValueError, match="tss_distances"):
        perturb(adata, among, Edit.remove(), genes=adata.obs_names[GENE])


def test_a_model_that_is_not_trained_is_refused(adata):
    with pytest.raises(RuntimeError, match=r"model\.train\(\)"):
        perturb(adata, sct.SimpleChrome(adata), Edit.remove())


def test_any_other_model_is_pointed_to_a_function_that_takes_it(adata):
    with pytest.raises(TypeError, match=r"a Linear; .* sct\.get\.before_and_after"):
        perturb(adata, torch.nn.Linear(adata.n_vars, 1), Edit.remove())


def test_raw_signal_is_refused(alone):
    with pytest.raises(ValueError, match="not normalised"):
        perturb(prepared(600, method=None), alone, Edit.remove())


def test_data_without_the_signal_are_refused(adata, alone):
    del adata.layers["signal"]
    with pytest.raises(ValueError, match="layers has no 'signal'"):
        perturb(adata, alone, Edit.remove())


@pytest.mark.parametrize(
    ("layer", "value", "message"),
    [
        ("signal", np.nan, "missing or infinite signal"),
        ("signal", -1, "negative signal"),
        ("signal", 1e3, "X that is not what its signal is normalised to"),
        (None, np.nan, "missing or infinite"),
    ],
)
def test_damaged_signal_is_named_with_gene_and_column(adata, alone, layer, value, message):
    (adata.X if layer is None else adata.layers[layer])[GENE, 7] = value
    with pytest.raises(ValueError, match=message) as error:
        perturb(adata, alone, Edit.remove(), genes=adata.obs_names[GENE])
    assert adata.obs_names[GENE] in str(error.value)


# real genes


@pytest.mark.parametrize(("mark", "label", "sign", "least"), [(K4, "high", 1, 0.95), (K27, "low", -1, 0.8)])
def test_real_marks_act_as_biology_says(e116, mark, label, sign, least):
    model = sct.load_pretrained()
    split = sct.pp.split_by_chromosome(e116, copy=True)
    adata = split[split.obs["split"] == "valid"].copy()
    sct.pp.normalize(adata, reference=model.normalization)
    signal = adata.layers["signal"][:, (adata.var["mark"] == mark).to_numpy()].max(axis=1)
    chosen = np.flatnonzero((adata.obs["label"] == label).to_numpy() & (signal > 0))[:300]
    factors = [0, 0.25, 0.5, 0.75, 1]
    sct.tl.dose_response(adata, model, mark, genes=adata.obs_names[chosen], factors=factors, progress=False)
    curves = adata.uns["dose_response"]["log_odds"].to_numpy().reshape(-1, len(factors))
    assert (sign * np.diff(curves, axis=1) >= -1e-4).all(axis=1).mean() > least

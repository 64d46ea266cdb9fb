"""Changes between two conditions, predicted and attributed."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from builders import BRIEF, conditions, contrasted, trained
from scipy import sparse

import simplechrome_tk as sct
from simplechrome_tk.core.expression import log_expression
from simplechrome_tk.tl.attribution import _attribute
from simplechrome_tk.tl.contrast import _contrast

if TYPE_CHECKING:
    import anndata as ad

COLUMNS = ["change", "average", "low", "high", "up", "down", "measured", "fdr"]
QUIET = {"key": "condition", "progress": False}


def table(adata: ad.AnnData, condition: str, key: str = "contrast") -> pd.DataFrame:
    """Columns of a contrast for the genes of a condition, indexed by gene."""
    rows = adata.obs[(adata.obs["condition"] == condition) & adata.obs[f"{key}_change"].notna()]
    found = rows[[f"{key}_{name}" for name in COLUMNS]].set_axis(COLUMNS, axis=1)
    return found.set_axis([name.partition(":")[0] for name in found.index])


def unchanged(adata: ad.AnnData, before: ad.AnnData) -> bool:
    slots = ("obs", "var", "uns", "obsm", "obsp", "layers")
    same = all(list(getattr(adata, slot)) == list(getattr(before, slot)) for slot in slots)
    return same and adata.obs.equals(before.obs) and np.array_equal(adata.X, before.X)


@pytest.mark.parametrize("in_context", [False, True])
@pytest.mark.parametrize("n_replicates", [1, 2])
def test_everything_exchanges_exactly_with_the_conditions(in_context: bool, n_replicates: int):
    adata, model = contrasted(n_replicates=n_replicates, in_context=in_context)
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=0, **QUIET)
    sct.tl.contrast(adata, model, of="A", against="B", n_explained=0, key_added="back", **QUIET)
    there, back = table(adata, "B"), table(adata, "A", "back")
    assert len(there) == 400
    assert (there["change"] != 0).all()
    for name, other, sign in [
        ("change", "change", -1),
        ("low", "high", -1),
        ("high", "low", -1),
        ("up", "down", 1),
        ("down", "up", 1),
        ("measured", "measured", -1),
    ]:
        np.testing.assert_array_equal(there[name], sign * back[other], err_msg=name)
    np.testing.assert_allclose(there["average"], back["average"], atol=1e-6)
    if n_replicates > 1:
        np.testing.assert_array_equal(there["fdr"], back["fdr"])


@pytest.mark.parametrize("in_context", [False, True])
def test_the_change_is_zero_where_the_marks_of_a_gene_and_its_related_genes_are_equal(in_context: bool):
    adata, model = contrasted(in_context=in_context)
    same = np.arange(400) % 4 > 0
    one, other = np.flatnonzero(adata.obs["condition"] == "B"), np.flatnonzero(adata.obs["condition"] == "A")
    x, signal = np.asarray(adata.X), adata.layers["signal"]
    x[one[same]], signal[one[same]] = x[other[same]], signal[other[same]]
    adata.X = x
    sct.tl.contrast(adata, model, of="B", against="A", genes=adata.obs_names[one], n_steps=2, **QUIET)
    if in_context:
        graph = adata.obsp["tss_connectivities"][one][:, one]
        same &= np.asarray((graph > 0) @ (~same).astype(int)).ravel() == 0
        assert 0 < same.sum() < 300
    change = adata.obs["contrast_change"].to_numpy()[one]
    assert (change[same] == 0).all()
    assert (change[~same] != 0).all()
    assert (adata.layers["contrast"][one[same]] == 0).all()
    np.testing.assert_array_equal(
        adata.obs["contrast_up"].to_numpy()[one[same]], adata.obs["contrast_down"].to_numpy()[one[same]]
    )


@pytest.mark.parametrize("in_context", [False, True])
def test_attributions_sum_to_the_predicted_change(in_context: bool):
    adata, model = contrasted(in_context=in_context)
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=60, n_steps=200, **QUIET)
    known = np.flatnonzero(adata.obs["contrast_total"].notna())
    assert len(known) == 60
    sums = adata.layers["contrast"][known].sum(axis=1, dtype=float)
    if in_context:
        of_related = np.asarray(adata.obsp["contrast_neighbors"][known].sum(axis=1)).ravel()
        assert np.abs(of_related).max() > 1e-3
        sums += of_related
    else:
        assert "contrast_neighbors" not in adata.obsp
    # The maxima that the contrast reads have kinks, and its random weights are large.
    np.testing.assert_allclose(sums, adata.obs["contrast_change"].to_numpy()[known], rtol=0.05)
    np.testing.assert_allclose(
        adata.obs["contrast_total"].iloc[known], adata.obs["contrast_change"].iloc[known], atol=1e-5
    )
    # The genes with the largest change are attributed, and the others are missing.
    size = table(adata, "B")["change"].abs()
    assert adata.obs["contrast_change"].abs().iloc[known].min() >= size.nlargest(60).min()
    assert np.isnan(np.delete(adata.layers["contrast"], known, axis=0)).all()
    assert adata.obs["contrast_error"].iloc[known].median() < 0.01


def test_a_change_of_one_mark_is_attributed_to_it():
    adata, model = contrasted()
    one, other = (np.flatnonzero(adata.obs["condition"] == name) for name in "BA")
    columns = (adata.var["mark"] == "H3K4me3").to_numpy()
    x, signal = np.asarray(adata.X), adata.layers["signal"]
    for values in (x, signal):
        kept = values[one][:, columns].copy()
        values[one] = values[other]
        values[np.ix_(one, columns)] = kept
    adata.X = x
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=20, **QUIET)
    known = adata.obs["contrast_total"].notna().to_numpy()
    effects = adata.layers["contrast"][known]
    assert (effects[:, ~columns] == 0).all()
    assert np.abs(effects[:, columns].sum(axis=1)).min() > 0


def test_genes_are_named_in_either_condition():
    adata, model = contrasted()
    names = {name: adata.obs_names[adata.obs["condition"] == name] for name in "AB"}
    for genes, n in [(names["A"][[3, 5]], 2), (names["B"][[3, 5]], 2), (adata.obs["symbol"].iloc[3], 1)]:
        sct.tl.contrast(adata, model, of="B", against="A", genes=genes, n_steps=2, **QUIET)
        assert adata.obs_names[adata.obs["contrast_total"].notna()].tolist() == names["B"][[3, 5][:n]].tolist()
    with pytest.raises(ValueError, match="none of the 1 rows of genes"):
        sct.tl.contrast(adata[1:].copy(), model, of="B", against="A", genes=names["B"][0], **QUIET)


def test_what_is_written_is_what_the_docstring_says():
    adata, model = contrasted(n_replicates=2)
    before = adata.copy()
    found = sct.tl.contrast(adata, model, of="B", against="A", n_explained=5, copy=True, **QUIET)
    assert unchanged(adata, before)
    new = set(found.obs) - set(adata.obs)
    assert new == {f"contrast_{name}" for name in [*COLUMNS, "total", "error", "inputs"]}
    first = found.obs["sample"] == "B1"
    assert found.obs.loc[first, "contrast_change"].notna().all()
    assert found.obs.loc[~first, "contrast_change"].isna().all()
    assert set(found.uns) - set(adata.uns) == {"contrast", "contrast_copy_number"}
    record = found.uns["contrast"]
    assert (record["of"], record["against"], record["key"], record["fold"]) == ("B", "A", "condition", 2.0)
    assert (record["samples_of"], record["samples_against"]) == (["B1", "B2"], ["A1", "A2"])
    assert record["n_genes"] == 400
    measured = log_expression(before.obs["expression"].to_numpy()).reshape(4, 400)
    expected = measured[2:].mean(axis=0) - measured[:2].mean(axis=0)
    genes = [name.partition(":")[0] for name in before.obs_names[:400]]
    np.testing.assert_allclose(table(found, "B")["measured"].loc[genes], expected, atol=1e-9)


def test_planted_changes_are_found_and_others_are_not():
    adata = sct.datasets.simulate_conditions(1_000, n_replicates=3, n_changed=150)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    model = sct.SimpleChrome(adata, n_latent=8, n_hidden=32, device="cpu")
    model.train(latent_epochs=2, expression_epochs=8, progress=False)
    model = model.add_contrast(key="condition", epochs=2, progress=False)
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=0, **QUIET)
    rows = adata.obs[adata.obs["contrast_change"].notna()]
    planted = rows["true_change"].to_numpy()
    called = rows["contrast_fdr"].to_numpy() <= 0.05
    assert called[planted != 0].mean() > 0.4
    assert called[planted == 0].mean() < 0.02
    right = np.sign(rows["contrast_change"]) == np.sign(planted)
    assert right[called & (planted != 0)].mean() > 0.95
    test = (rows["split"] == "test").to_numpy()
    inside = rows["contrast_low"].le(rows["contrast_measured"]) & rows["contrast_measured"].le(rows["contrast_high"])
    assert inside[test].mean() > 0.85


@pytest.mark.parametrize("counts", [("A1", "B1"), ("A1", "B1", "B2")])
def test_one_replicate_gives_ranks_only(counts: tuple[str, ...], caplog: pytest.LogCaptureFixture):
    adata, model = contrasted(n_replicates=2)
    adata = adata[adata.obs["sample"].isin(counts)].copy()
    with caplog.at_level(logging.WARNING):
        sct.tl.contrast(adata, model, of="B", against="A", n_explained=0, **QUIET)
    assert "A 1: without replicates of both conditions there is no false discovery rate" in caplog.text
    assert adata.obs["contrast_fdr"].isna().all()


def test_without_a_contrast_the_change_is_the_difference_of_predictions(caplog: pytest.LogCaptureFixture):
    adata = conditions()
    model = sct.SimpleChrome(adata, n_latent=4, n_hidden=16, device="cpu")
    model.train(**BRIEF)
    with caplog.at_level(logging.WARNING):
        sct.tl.contrast(adata, model, of="B", against="A", n_explained=5, **QUIET)
    assert "has learnt no changes" in caplog.text
    predicted = model.predict(adata)["log_expression"].to_numpy().reshape(2, 400)
    np.testing.assert_allclose(table(adata, "B")["change"], predicted[1] - predicted[0], atol=1e-5)
    assert adata.obs[["contrast_low", "contrast_up"]].isna().all(axis=None)


def test_data_without_expression_have_no_measured_change():
    adata, model = contrasted()
    del adata.obs["expression"]
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=0, **QUIET)
    assert adata.obs["contrast_measured"].isna().all()
    assert adata.obs["contrast_change"].notna().sum() == 400


def test_it_is_stored_in_files(round_trip):
    adata, model = contrasted(in_context=True)
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=5, **QUIET)
    again = round_trip(adata)
    pd.testing.assert_frame_equal(sct.get.contrast(again), sct.get.contrast(adata), check_dtype=False)
    pd.testing.assert_frame_equal(
        sct.get.mark_effects(again, key="contrast"), sct.get.mark_effects(adata, key="contrast"), check_dtype=False
    )
    assert len(again.uns["contrast_copy_number"]) == len(adata.uns["contrast_copy_number"])
    sct.tl.contrast(again, model, of="A", against="B", n_explained=2, **QUIET)


@pytest.mark.parametrize("name", ["compute", "write_whole"])
def test_an_interrupted_call_leaves_the_data_as_they_were(name: str, monkeypatch: pytest.MonkeyPatch):
    adata, model = contrasted(in_context=True)
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=3, **QUIET)
    before = adata.copy()
    whole = getattr(_contrast, name)

    def broken(*args, **kwargs):
        if name == "write_whole":
            # The last slot cannot be written.
            args[1].append(("obs", "broken", np.zeros(1)))
        whole(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(_contrast, name, broken)
    with pytest.raises((KeyboardInterrupt, ValueError)):
        sct.tl.contrast(adata, model, of="A", against="B", n_explained=3, **QUIET)
    assert unchanged(adata, before)
    np.testing.assert_array_equal(adata.layers["contrast"], before.layers["contrast"])
    assert adata.uns["contrast"]["of"] == "B"


def test_the_model_stays_as_it_was():
    adata, model = contrasted(in_context=True)
    model = sct.SimpleChrome._from_state(model._state, copy.deepcopy(model.module), adata, model.device)
    model.module.train()
    before = copy.deepcopy(model.module.state_dict())
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=3, **QUIET)
    assert model.module.first.training
    assert all(weight.equal(before[name]) for name, weight in model.module.state_dict().items())


def test_a_second_contrast_without_related_genes_removes_their_effects():
    adata, model = contrasted(in_context=True)
    sct.tl.contrast(adata, model, of="B", against="A", n_explained=3, **QUIET)
    assert sparse.issparse(adata.obsp["contrast_neighbors"])
    sct.tl.contrast(adata, contrasted()[1], of="B", against="A", n_explained=3, **QUIET)
    assert "contrast_neighbors" not in adata.obsp


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": "C"}, "expected one of A, B"),
        ({"of": "A"}, "of and against are both"),
        ({"key": "treatment"}, "name another column with key"),
        ({"fold": 1.0}, "fold is 1.0"),
        ({"n_explained": -1}, "n_explained is -1"),
        ({"n_steps": 0}, "n_steps is 0"),
        ({"key_added": "normalize"}, "key_added is 'normalize'"),
        ({"genes": "no gene"}, "no gene"),
    ],
)
def test_invalid_arguments_are_named(arguments: dict, message: str):
    adata, model = contrasted()
    before = adata.copy()
    with pytest.raises(ValueError, match=message):
        sct.tl.contrast(adata, model, **{"of": "B", "against": "A", **QUIET, **arguments})
    assert unchanged(adata, before)


def test_exchanged_or_untrained_models_are_named():
    adata, model = contrasted()
    with pytest.raises(TypeError, match=r"sct\.tl\.contrast"):
        sct.tl.contrast(model, adata, of="B", against="A")
    with pytest.raises(RuntimeError, match="train"):
        sct.tl.contrast(adata, sct.SimpleChrome(adata, n_latent=4), of="B", against="A")


def test_a_classification_predicts_no_change():
    adata, model = trained(task="classification")
    with pytest.raises(ValueError, match="task='both'"):
        sct.tl.contrast(adata, model, of="B", against="A")


@pytest.mark.parametrize("what", ["marks", "windows"])
def test_other_marks_or_windows_are_refused(what: str):
    adata, model = contrasted()
    kept = adata.var["mark"] != "H3K9me3" if what == "marks" else adata.var["region"] == "tss"
    other = adata[:, kept].copy()
    with pytest.raises(ValueError, match="column"):
        sct.tl.contrast(other, model, of="B", against="A", **QUIET)


def test_conditions_with_other_marks_or_windows_cannot_be_stacked():
    one = sct.datasets.simulate(150)
    marks = one[:, one.var["mark"] != "H3K9me3"].copy()
    windows = one[:, one.var["region"] == "tss"].copy()
    with pytest.raises(ValueError, match="different marks"):
        sct.pp.stack_cell_types({"A": one, "B": marks})
    with pytest.raises(ValueError, match="the same windows"):
        sct.pp.stack_cell_types({"A": one, "B": windows})


def test_conditions_that_were_normalised_apart_are_refused():
    adata, model = contrasted()
    rows = (adata.obs["condition"] == "B").to_numpy()
    adata.X = np.where(rows[:, None], 1.2 * np.asarray(adata.X), adata.X)
    with pytest.raises(ValueError, match="normalised apart"):
        sct.tl.contrast(adata, model, of="B", against="A", **QUIET)


def test_two_of_several_conditions_are_chosen():
    adata, model = contrasted(n_replicates=2)
    adata.obs["dose"] = adata.obs["sample"].map({"A1": 0, "A2": 1, "B1": 2, "B2": 3}).astype(int)
    with warnings.catch_warnings():
        sct.tl.contrast(adata, model, of="3", against="1", **{**QUIET, "key": "dose"}, n_explained=0)
    assert adata.uns["contrast"]["samples_of"] == ["B2"]
    assert adata.uns["contrast"]["samples_against"] == ["A2"]
    assert (adata.obs["contrast_change"].notna() == (adata.obs["sample"] == "B2")).all()


def test_attributions_are_computed_as_those_of_predictions():
    assert _contrast.compute is _attribute.compute

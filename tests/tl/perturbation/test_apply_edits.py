"""Edits that are written into the data."""

from __future__ import annotations

import numpy as np
import pytest
from hand_edits import GENE, K4, columns, neighbors_of

import simplechrome_tk as sct
from simplechrome_tk.tl import Edit

DOUBLE = Edit.scale(2, mark=K4, region="tss")


def test_signal_and_x_of_the_genes_are_edited(adata):
    genes, k4 = adata.obs_names[[GENE, 3]], columns(adata, K4, "tss")
    signal, x = adata.layers["signal"].copy(), adata.X.copy()
    assert sct.tl.apply_edits(adata, DOUBLE, genes=genes) is None
    signal[np.ix_([GENE, 3], k4)] *= 2
    np.testing.assert_array_equal(adata.layers["signal"], signal)
    constants = adata.uns["normalize"]
    x[np.ix_([GENE, 3], k4)] = (np.log1p(signal[np.ix_([GENE, 3], k4)]) - constants["center"][0]) / constants["scale"][
        0
    ]
    np.testing.assert_allclose(adata.X, x, atol=1e-5)
    others = np.delete(np.arange(adata.n_obs), [GENE, 3])
    np.testing.assert_array_equal(adata.X[others], x[others])


def test_edited_genes_are_marked_also_by_an_earlier_call(adata):
    for row in (GENE, 3):
        sct.tl.apply_edits(adata, Edit.set(7, mark=K4), genes=adata.obs_names[row])
    assert sorted(np.flatnonzero(adata.obs["edited"])) == [3, GENE]


def test_a_copy_is_edited_and_the_data_stay(adata, state):
    before = state(adata)
    edited = sct.tl.apply_edits(adata, DOUBLE, genes=adata.obs_names[GENE], copy=True)
    assert state(adata) == before
    assert edited.n_obs == adata.n_obs
    assert edited.obs["edited"].sum() == 1


def test_predictions_are_those_of_perturb(adata, alone):
    genes = adata.obs_names[[GENE, 3]]
    sct.tl.perturb(adata, alone, DOUBLE, genes=genes)
    sct.tl.apply_edits(adata, DOUBLE, genes=genes)
    after = alone.predict(adata).loc[genes, "log_expression"]
    np.testing.assert_allclose(adata.uns["perturb"]["log_expression_after"], after, atol=1e-5)


def test_neighbours_are_edited(adata):
    neighbors = neighbors_of(adata, GENE)
    sct.tl.apply_edits(adata, Edit.remove(on="neighbors"), genes=adata.obs_names[GENE], neighbors_key="tss")
    assert not adata.layers["signal"][neighbors].any()
    assert set(np.flatnonzero(adata.obs["edited"])) <= set(neighbors)


def test_edits_act_one_after_the_other(adata):
    neighbor = adata.obs_names[neighbors_of(adata, GENE)[0]]
    edits = [Edit.set(3, mark=K4), DOUBLE, Edit.set(5, mark=K4, region="tss", on=neighbor)]
    sct.tl.apply_edits(adata, edits, genes=adata.obs_names[GENE], neighbors_key="tss")
    k4 = columns(adata, K4, "tss")
    assert (adata.layers["signal"][GENE, k4] == 6).all()
    assert (adata[neighbor].layers["signal"][0, k4] == 5).all()


def test_whole_counts_may_be_halved(adata):
    adata.layers["signal"] = np.round(adata.layers["signal"]).astype(np.int16) + 1
    adata.X = adata.layers.pop("signal")
    del adata.uns["normalize"]
    sct.pp.normalize(adata)
    adata.layers["signal"] = adata.layers["signal"].astype(np.int16)
    before = adata.layers["signal"][GENE].copy()
    sct.tl.apply_edits(adata, Edit.scale(0.5), genes=adata.obs_names[GENE])
    np.testing.assert_array_equal(adata.layers["signal"][GENE], before / 2)


def test_no_edits_are_refused(adata):
    with pytest.raises(ValueError, match="there are no edits"):
        sct.tl.apply_edits(adata, [])


def test_neighbours_need_their_graph(adata):
    with pytest.raises(ValueError, match="neighbors_key"):
        sct.tl.apply_edits(adata, Edit.remove(on="neighbors"))


def test_nothing_is_written_when_a_call_is_interrupted(adata, state, interrupted):
    before = state(adata)
    assert interrupted(lambda: sct.tl.apply_edits(adata, DOUBLE), 20)
    assert state(adata) == before


def test_edited_marks_are_drawn_over_the_measured(adata):
    gene = adata.obs_names[GENE]
    edited = sct.tl.apply_edits(adata, Edit.scale(2.5, mark=K4, region="tss"), genes=gene, copy=True)
    axes = sct.pl.edited(adata, edited, gene)
    assert axes.shape == (5, 2)
    measured, changed = axes[0, 0].patches
    np.testing.assert_array_equal(measured.get_data().values, adata.layers["signal"][GENE, columns(adata, K4, "tss")])
    np.testing.assert_allclose(changed.get_data().values, 2.5 * measured.get_data().values)
    assert axes[0, 0].get_ylim()[1] > changed.get_data().values.max()
    assert [len(ax.patches) for ax in axes.flat[1:]] == [1] * 9, "the others are as measured"
    assert [text.get_text() for text in axes[0, 0].figure.legends[0].get_texts()] == ["as measured", "edited"]


def test_data_that_do_not_fit_are_not_drawn(adata):
    gene = adata.obs_names[GENE]
    with pytest.raises(ValueError, match="599 columns"):
        sct.pl.edited(adata, adata[:, 1:], gene)
    with pytest.raises(ValueError, match="no gene"):
        sct.pl.edited(adata, adata[:5], gene)

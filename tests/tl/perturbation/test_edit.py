"""Edits as values, and what they make of signal, in closed form."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hand_edits import K4, K27, K36, columns

from simplechrome_tk.core.layout import Layout
from simplechrome_tk.tl import Edit
from simplechrome_tk.tl.perturbation._edit_signal import edit_signal


@pytest.fixture
def layout(adata):
    return Layout.of(adata)


def nonzero(values):
    return {int(place): float(values[place]) for place in np.flatnonzero(values)}


def test_a_shift_down_spreads_over_two_bins_and_repeats_the_edge(adata, layout):
    signal = np.zeros((1, adata.n_vars), dtype=np.float32)
    k4 = columns(adata, K4, "tss")
    signal[0, k4[40]], signal[0, k4[0]] = 8, 2
    shifted = edit_signal(layout, Edit.shift(150, mark=K4, region="tss"), signal)
    assert nonzero(shifted[0, k4]) == {0: 2, 1: 2, 2: 1, 41: 4, 42: 4}


def test_a_shift_up_loses_what_leaves_the_window(adata, layout):
    signal = np.zeros((1, adata.n_vars), dtype=np.float32)
    k4 = columns(adata, K4, "tss")
    signal[0, k4[40]], signal[0, k4[0]] = 8, 2
    shifted = edit_signal(layout, Edit.shift(-1_000, mark=K4, region="tss"), signal)
    assert nonzero(shifted[0, k4]) == {30: 8}


def test_a_shift_along_the_body_is_a_fraction_of_it_and_can_be_undone(adata, layout):
    signal = np.zeros((1, adata.n_vars), dtype=np.float32)
    body = columns(adata, K36, "body")
    signal[0, body[10]] = 6
    shifted = edit_signal(layout, Edit.shift(0.1, region="body"), signal)
    assert nonzero(shifted[0, body]) == {12: 6}
    np.testing.assert_allclose(edit_signal(layout, Edit.shift(-0.1, region="body"), shifted), signal)


def test_a_swap_changes_the_named_positions_alone_and_undoes_itself(adata, layout):
    signal = adata.layers["signal"][:5]
    edit = Edit.swap(K4, K27, region="tss", start=-500, end=500)
    swapped = edit_signal(layout, edit, signal)
    own, other = (columns(adata, mark, "tss", -500, 500) for mark in (K4, K27))
    np.testing.assert_array_equal(swapped[:, own], signal[:, other])
    assert set(np.flatnonzero((swapped != signal).any(axis=0))) <= {*own, *other}
    np.testing.assert_array_equal(edit_signal(layout, edit, swapped), signal)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: Edit.scale(-1), "factor is -1"),
        (lambda: Edit.scale(float("nan")), "factor is nan"),
        (lambda: Edit.set(-0.1), "signal to set is -0.1"),
        (lambda: Edit.set(float("inf")), "signal to set is inf"),
        (lambda: Edit.shift(float("nan")), "distance to shift by is nan"),
        (lambda: Edit.remove(start=5, end=5), "expected start below end"),
        (lambda: Edit.remove(start=float("nan")), "start is nan"),
        (lambda: Edit.swap(K4, K4), "expected two marks"),
        (lambda: Edit("swap", K4), "expected two marks"),
        (lambda: Edit("transplant", 3), "expected the name of a gene"),
        (lambda: Edit("invert", 1), "action is 'invert'"),
    ],
)
def test_values_that_are_no_edit(edit, message):
    with pytest.raises(ValueError, match=message):
        edit()


def test_an_unknown_argument_is_named():
    with pytest.raises(TypeError, match="marks"):
        Edit.remove(marks=K4)


@pytest.mark.parametrize("make", [Edit.set, Edit.scale, Edit.remove, Edit.transplant])
def test_completion_offers_where_an_edit_acts(make):
    """Completion in a notebook reads the signature, which therefore names each argument."""
    assert {"mark", "region", "start", "end", "on"} <= inspect.signature(make).parameters.keys()

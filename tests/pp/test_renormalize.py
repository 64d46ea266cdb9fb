"""New signal gets the X that normalising it with the rest of the data would have given."""

from __future__ import annotations

import numpy as np
import pytest
from builders import prepared
from hand_edits import K4, columns

from simplechrome_tk.core.layout import Layout
from simplechrome_tk.pp._renormalize import Renormalizer

ROWS = np.arange(5)


def filled(renormalizer: Renormalizer, signal: np.ndarray, rows: np.ndarray = ROWS) -> np.ndarray:
    """Return the X of new signal."""
    x = np.full_like(signal, np.nan)
    renormalizer.fill(x, signal, where=np.ones(signal.shape, dtype=bool), rows=rows)
    return x


@pytest.mark.parametrize("method", ["log1p", "paper", "quantile"])
def test_observed_signal_gets_its_own_x(method):
    adata = prepared(method=method)
    signal = adata.layers["signal"][ROWS]
    np.testing.assert_allclose(filled(Renormalizer(adata), signal), adata.X[ROWS], rtol=0, atol=2e-6)


def test_only_the_given_places_are_written():
    adata = prepared()
    x = np.full((5, adata.n_vars), np.nan, dtype=np.float32)
    where = np.zeros(x.shape, dtype=bool)
    where[2, 7] = True
    Renormalizer(adata).fill(x, adata.layers["signal"][ROWS], where=where, rows=ROWS)
    np.testing.assert_array_equal(np.isnan(x), ~where)


def test_quantiles_are_read_once():
    adata = prepared(method="quantile")
    signal = adata.layers["signal"][ROWS].copy()
    renormalizer = Renormalizer(adata, Layout.of(adata))
    first = filled(renormalizer, signal)
    adata.layers["signal"][:] = 0
    np.testing.assert_array_equal(filled(renormalizer, signal), first)


@pytest.mark.parametrize("method", ["log1p", "quantile"])
def test_x_that_differs_from_its_signal_is_found_where_a_formula_says_so(method):
    adata = prepared(method=method)
    x = adata.X[ROWS].copy()
    x[1, 3] += 1
    agrees = Renormalizer(adata).agrees(x, adata.layers["signal"][ROWS])
    expected = [] if method == "quantile" else [[1, 3]]
    assert np.argwhere(~agrees).tolist() == expected


def test_a_mark_without_signal_has_no_scale_for_new_signal():
    adata = prepared(method="quantile")
    adata.layers["signal"][:, adata.var["mark"] == "H3K4me3"] = 0
    with pytest.raises(ValueError, match=r"H3K4me3 in region 'tss'.*bring more genes"):
        filled(Renormalizer(adata), np.ones((5, adata.n_vars), dtype=np.float32))


@pytest.mark.parametrize(("method", "missing"), [("log1p", "signal"), (None, "normalize")])
def test_data_without_signal_or_record_are_refused(method, missing):
    adata = prepared(method=method)
    adata.layers.pop("signal", None)
    with pytest.raises(ValueError, match=f"has no '{missing}'"):
        Renormalizer(adata)


@pytest.fixture
def by_quantile():
    return prepared(1_000, method="quantile")


def renormalize_first_bin(adata, signal):
    """Return ``X`` of the first bin of H3K4me3 for several values of its signal."""
    first = columns(adata, K4, "tss")[0]
    new = np.zeros((len(signal), adata.n_vars), dtype=np.float32)
    new[:, first] = signal
    x, where = np.zeros_like(new), np.zeros(new.shape, dtype=bool)
    where[:, first] = True
    Renormalizer(adata).fill(x, new, where=where, rows=np.zeros(len(signal), dtype=int))
    assert not x[~where].any(), "only what is named is written"
    return x[:, first]


def observed_values(adata):
    """Return each observed signal of H3K4me3 and its ``X``, rising."""
    k4 = columns(adata, K4, "tss")
    signal, first = np.unique(adata.layers["signal"][:, k4], return_index=True)
    return signal, adata.X[:, k4].ravel()[first]


def test_quantiles_are_interpolated_between_observed_values(by_quantile):
    signal, x = observed_values(by_quantile)
    new = renormalize_first_bin(by_quantile, [0, signal[5], (signal[5] + signal[6]) / 2])
    np.testing.assert_allclose(new, [x[0], x[5], (x[5] + x[6]) / 2], rtol=0, atol=1e-6)


def test_quantiles_go_on_in_proportion_beyond_the_largest_value(by_quantile):
    top = observed_values(by_quantile)[0][-1]
    new = renormalize_first_bin(by_quantile, [top, 2 * top, 3 * top])
    center, scale = (by_quantile.uns["normalize"][name][0] for name in ("center", "scale"))
    linear = np.expm1(new.astype(float) * scale + center)
    np.testing.assert_allclose(linear / linear[0], [1, 2, 3], rtol=1e-4)
    assert (np.diff(new) > 0).all()

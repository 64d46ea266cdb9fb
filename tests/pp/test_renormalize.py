"""Signal that is normalised after the constants were fitted: marks that were edited."""

from __future__ import annotations

import numpy as np
import pytest
from builders import prepared
from hand_edits import K4, columns

from simplechrome_tk.pp._renormalize import Renormalizer


@pytest.mark.parametrize("method", ["log1p", "paper", "quantile"])
def test_unchanged_signal_gives_x_back(method):
    adata = prepared(1_000, method=method)
    again = np.full_like(adata.X, np.nan)
    Renormalizer(adata).fill(
        again, adata.layers["signal"], where=np.ones(adata.shape, dtype=bool), rows=np.arange(adata.n_obs)
    )
    if method == "quantile":
        np.testing.assert_allclose(again, adata.X, rtol=0, atol=2e-6)
    else:
        np.testing.assert_array_equal(again, adata.X)


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


def test_arrays_that_were_written_to_are_read_again(by_quantile):
    signal, x = observed_values(by_quantile)
    renormalize_first_bin(by_quantile, signal[5:6])
    by_quantile.X[:, columns(by_quantile, K4, "tss")] += 1
    np.testing.assert_allclose(renormalize_first_bin(by_quantile, signal[5:6]), x[5] + 1, atol=1e-5)

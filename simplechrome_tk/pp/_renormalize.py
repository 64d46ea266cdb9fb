"""Normalise signal that was not there when the constants were applied: marks that were edited."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized, normalization
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.pp._normalize import standardize

if TYPE_CHECKING:
    import anndata as ad


class Knots(NamedTuple):
    """Signal of a block as it was observed, rising from 0, and what ``X`` holds for it, shape ``(n_knots,)`` each."""

    signal: np.ndarray
    x: np.ndarray


class Renormalizer:
    """Give new signal the ``X`` that :func:`simplechrome_tk.pp.normalize` would have given it.

    After ``"log1p"`` and ``"paper"`` this is the formula itself. After ``"quantile"`` the map from signal to ``X`` is
    a rising function of each mark in each region of each cell type, which all genes together show: it is read from
    them, linear between two observed values, and between 0 and the smallest, so that a mark that fades does so without
    a jump. Beyond the largest it goes on in proportion: twice the largest signal counts as twice what the largest was
    exchanged for.

    Parameters
    ----------
    adata
        Normalised genes by bins. It is read when asked, and never changed.

    Raises
    ------
    ValueError
        When nothing is normalised, or the signal was not kept.
    """

    def __init__(self, adata: ad.AnnData) -> None:
        if not is_normalized(adata) or k.SIGNAL not in adata.layers:
            found = "layers has no 'signal'" if is_normalized(adata) else "uns has no 'normalize'"
            msg = f"{found}: new signal needs what sct.pp.normalize(adata) writes. Run it on the raw signal first."
            raise ValueError(msg)
        self._adata = adata
        self._constants = normalization(adata)
        self._table = blocks(adata)
        self._by_quantile = "quantiles" in self._constants
        self._cells = cell_types(adata).to_numpy() if self._by_quantile else np.empty(0)

    def fill(self, x: np.ndarray, signal: np.ndarray, *, where: np.ndarray, rows: np.ndarray) -> None:
        """Write the normalised ``signal`` into ``x``, in place.

        Parameters
        ----------
        x, signal
            ``(n, n_columns)`` float32; signal is non-negative.
        where
            ``(n, n_columns)``, true where ``x`` is to be written.
        rows
            ``(n,)`` genes of the AnnData whose chromatin this is, for their cell type.

        Raises
        ------
        ValueError
            When after ``"quantile"`` no gene of the cell type has any signal of the mark, so that its scale is unknown.
        """
        if not self._by_quantile:
            np.copyto(x, standardize(signal, self._table, self._constants), where=where)
            return
        for block, (start, stop) in enumerate(zip(self._table["start"], self._table["stop"], strict=True)):
            changed = where[:, start:stop]
            touched = np.flatnonzero(changed.any(axis=1))
            cells = self._cells[rows[touched]]
            for cell in dict.fromkeys(cells):
                own = touched[cells == cell]
                part, mask = x[own, start:stop], changed[own]
                part[mask] = self._exchanged(block, cell, signal[own, start:stop][mask])
                x[own, start:stop] = part

    def agrees(self, x: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """Return where ``x`` is what ``signal`` is normalised to, both ``(n, n_columns)``; not asked of quantiles."""
        if self._by_quantile:
            return np.ones(x.shape, dtype=bool)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.isclose(x, standardize(signal, self._table, self._constants), rtol=1e-4, atol=1e-4)

    def _exchanged(self, block: int, cell: str, signal: np.ndarray) -> np.ndarray:
        knots = self._knots(block, cell)
        largest = knots.signal[-1]
        if largest == 0 and (signal > 0).any():
            where = self._table.iloc[block]
            msg = (
                f"no gene of cell type {cell!r} has signal of {where['mark']} in region {where['region']!r}, so what "
                "new signal is worth there after method='quantile' cannot be known: bring more genes, or edit others."
            )
            raise ValueError(msg)
        new = np.interp(signal, knots.signal, knots.x)
        beyond = signal > largest
        center, scale = (float(self._constants[name][block]) for name in ("center", "scale"))
        even = np.expm1(float(knots.x[-1]) * scale + center) * signal[beyond].astype(float) / float(largest or 1)
        new[beyond] = (np.log1p(even) - center) / scale
        return new

    def _knots(self, block: int, cell: str) -> Knots:
        signal, x = dense(self._adata, k.SIGNAL), dense(self._adata)
        own = self._cells == cell
        columns = slice(self._table["start"][block], self._table["stop"][block])
        rows = slice(None) if own.all() else np.flatnonzero(own)
        observed, normalized = signal[rows, columns], x[rows, columns]
        cache = _kept_with(signal, x)
        key = block, cell, float(observed.sum()), float(normalized.sum())  # sums tell arrays that were written to
        if key not in cache:
            covered = observed > 0
            # X rises with the signal, so sorting each by itself keeps the pairs
            observed, normalized = np.sort(observed[covered]), np.sort(normalized[covered])
            first = np.append(True, np.diff(observed) > 0)[: len(observed)]
            center, scale = (np.float32(self._constants[name][block]) for name in ("center", "scale"))
            cache[key] = Knots(np.append(np.float32(0), observed[first]), np.append(-center / scale, normalized[first]))
        return cache[key]


_Key = tuple[int, str, float, float]
_kept: dict[tuple[int, int], dict[_Key, Knots]] = {}


def _kept_with(signal: np.ndarray, x: np.ndarray) -> dict[_Key, Knots]:
    """Return what is known of these two arrays for as long as both live: a slider asks many times for the same."""
    key = id(signal), id(x)
    if key not in _kept:
        _kept[key] = {}
        for array in (signal, x):
            weakref.finalize(array, _kept.pop, key, None)
    return _kept[key]

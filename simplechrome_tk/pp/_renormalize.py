"""Normalisation of new signal, such as edited marks, as the rest of the data were normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized, normalization
from simplechrome_tk.core.require import cell_types
from simplechrome_tk.pp._normalize import standardize

if TYPE_CHECKING:
    import anndata as ad


class Knots(NamedTuple):
    """Observed signal of a block, ascending from 0, and its ``X``, shape ``(n_knots,)`` each."""

    signal: np.ndarray
    x: np.ndarray


class Renormalizer:
    """Gives new signal the ``X`` that :func:`simplechrome_tk.pp.normalize` would have given it.

    After ``"log1p"`` and ``"paper"`` this is their formula. After ``"quantile"``, ``X`` is a rising function of the
    signal, one for each mark in each region and cell type, and the data show it: it is interpolated linearly between
    the observed values, and between 0 and the smallest. Beyond the largest it continues in proportion: twice the
    largest signal counts as twice the matched signal of the largest.

    These functions are read from the AnnData when they are first needed, and kept. Make another ``Renormalizer`` after
    the AnnData has changed.

    Parameters
    ----------
    adata
        Normalised genes by bins; it is never changed.
    layout
        The layout of ``adata``, where the caller has read it already.

    Raises
    ------
    ValueError
        When the data are not normalised, or their signal was not kept.
    """

    def __init__(self, adata: ad.AnnData, layout: Layout | None = None) -> None:
        if not is_normalized(adata) or k.SIGNAL not in adata.layers:
            found = "layers has no 'signal'" if is_normalized(adata) else "uns has no 'normalize'"
            msg = f"{found}: new signal needs what sct.pp.normalize(adata) writes. Run it on the raw signal first."
            raise ValueError(msg)
        self._adata = adata
        self._layout = Layout.of(adata) if layout is None else layout
        self._constants = normalization(adata, layout=self._layout)
        self._by_quantile = self._constants["method"] == "quantile"
        self._cells = cell_types(adata).to_numpy() if self._by_quantile else np.empty(0)
        self._knots: dict[tuple[int, str], Knots] = {}

    def fill(self, x: np.ndarray, signal: np.ndarray, *, where: np.ndarray, rows: np.ndarray) -> None:
        """Write the normalised ``signal`` into ``x``, in place.

        Parameters
        ----------
        x, signal
            ``(n, n_columns)`` float32; signal is non-negative.
        where
            ``(n, n_columns)``, true where ``x`` is written.
        rows
            ``(n,)`` rows of the genes in the AnnData, which give the cell type.

        Raises
        ------
        ValueError
            When after ``"quantile"`` no gene of the cell type has any signal of the mark, so that its scale is unknown.
        """
        if not self._by_quantile:
            np.copyto(x, standardize(signal, self._layout, self._constants), where=where)
            return
        for i, block in enumerate(self._layout.blocks.itertuples()):
            columns = slice(block.start, block.stop)
            changed = where[:, columns]
            touched = np.flatnonzero(changed.any(axis=1))
            cells = self._cells[rows[touched]]
            for cell in dict.fromkeys(cells):
                own = touched[cells == cell]
                part, mask = x[own, columns], changed[own]
                part[mask] = self._interpolate(i, cell, signal[own, columns][mask])
                x[own, columns] = part

    def agrees(self, x: np.ndarray, signal: np.ndarray) -> np.ndarray:
        """Return where ``x`` is the normalised ``signal``, both ``(n, n_columns)``; after ``"quantile"`` all true."""
        if self._by_quantile:
            return np.ones(x.shape, dtype=bool)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.isclose(x, standardize(signal, self._layout, self._constants), rtol=1e-4, atol=1e-4)

    def _interpolate(self, block: int, cell: str, signal: np.ndarray) -> np.ndarray:
        """Return ``X`` for signal of a block in a cell type, after ``"quantile"``."""
        if (block, cell) not in self._knots:
            self._knots[block, cell] = self._read_knots(block, cell)
        knots = self._knots[block, cell]
        largest = knots.signal[-1]
        if largest == 0 and (signal > 0).any():
            mark, region = self._layout.blocks.loc[block, ["mark", "region"]]
            msg = (
                f"no gene of cell type {cell!r} has signal of {mark} in region {region!r}, so that the scale of new "
                "signal there is unknown after method='quantile': bring more genes, or edit others."
            )
            raise ValueError(msg)
        new = np.interp(signal, knots.signal, knots.x)
        beyond = signal > largest
        # Back from X to the matched signal of the largest value, in proportion, and forth to X.
        center, scale = (float(self._constants[name][block]) for name in ("center", "scale"))
        even = np.expm1(float(knots.x[-1]) * scale + center) * signal[beyond].astype(float) / float(largest or 1)
        new[beyond] = (np.log1p(even) - center) / scale
        return new

    def _read_knots(self, block: int, cell: str) -> Knots:
        own = self._cells == cell
        columns = slice(*self._layout.blocks.loc[block, ["start", "stop"]])
        rows = slice(None) if own.all() else np.flatnonzero(own)
        signal, x = dense(self._adata, k.SIGNAL)[rows, columns], dense(self._adata)[rows, columns]
        covered = signal > 0
        # X rises with the signal, so that sorting each by itself keeps the pairs together.
        signal, x = np.sort(signal[covered]), np.sort(x[covered])
        first = np.append(True, np.diff(signal) > 0)[: len(signal)]
        center, scale = (np.float32(self._constants[name][block]) for name in ("center", "scale"))
        return Knots(np.append(np.float32(0), signal[first]), np.append(-center / scale, x[first]))

"""The map of genes: zoom, lasso, colours."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import jscatter
import numpy as np
import pandas as pd

from simplechrome_tk.widgets._explorer_colors import unused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import ipywidgets

    from simplechrome_tk.widgets._explorer_colors import Color

logger = logging.getLogger(__name__)

_HEIGHT = 560
_REDRAWN_S = 3.0
"""A map drawn in new colours reports within this time that nothing is selected, which nobody asked for."""
_SELECTED = "#CC79A7"
"""Reddish purple of Okabe and Ito (2008), which no palette here starts with."""


_X, _Y, _SYMBOL = "UMAP 1", "UMAP 2", "gene"
_TAKEN = frozenset({_X, _Y, _SYMBOL, "x", "y", "color", "opacity", "size"})
"""Names that jupyter-scatter, or the map, gives a meaning of its own."""


def places(xy: np.ndarray, slot: str) -> np.ndarray:
    """Return the rows of genes that have a place on the map; raise ``ValueError`` where ``xy`` is no map."""
    fix = "run sct.tl.embed(adata, model) again"
    if xy.ndim != 2 or xy.shape[1] < 2:
        msg = f"obsm[{slot!r}] has shape {xy.shape}; expected two coordinates of each gene: {fix}."
        raise ValueError(msg)
    at = np.flatnonzero(np.isfinite(xy[:, :2]).all(axis=1))
    if not len(at):
        msg = f"obsm[{slot!r}] holds a place for none of {len(xy)} genes: {fix}."
        raise ValueError(msg)
    if len(at) < len(xy):
        logger.warning("%d of %d genes have no place in obsm[%r] and are not drawn.", len(xy) - len(at), len(xy), slot)
    return at


class GeneMap:
    """Points by their places, drawn with WebGL by jupyter-scatter.

    Parameters
    ----------
    xy
        Where the genes lie, ``(n_genes, 2)``.
    symbols
        What the genes are called, ``(n_genes,)``.
    colors
        What they can be coloured by, by name.
    told
        Names among ``colors`` that the tooltip tells of a gene.
    slot
        Slot of ``obsm`` that holds ``xy``, for messages.
    on_select
        Called with the rows, ``(n_selected,)``, that were selected on the map.
    """

    def __init__(
        self,
        xy: np.ndarray,
        symbols: np.ndarray,
        colors: dict[str, Color],
        *,
        told: Sequence[str],
        slot: str,
        on_select: Callable[[np.ndarray], None],
    ) -> None:
        self._colors = colors
        self._at = places(xy, slot)
        self._on_select = on_select
        self._rows = np.empty(0, dtype=int)
        self._recolored = -np.inf
        # Coordinates have names of their own, and so has what jupyter-scatter draws: obs may have a column called x.
        self._columns: dict[str, str] = {}
        for name in colors:
            self._columns[name] = unused(name, _TAKEN | set(self._columns.values()) | (set(colors) - {name}))
        columns = {
            self._columns[name]: how.values.round(3).to_numpy() if how.ends else how.values.array
            for name, how in colors.items()
        }
        table = pd.DataFrame({_X: xy[:, 0], _Y: xy[:, 1], _SYMBOL: symbols, **columns})
        self._scatter = jscatter.Scatter(
            data=table.iloc[self._at].reset_index(drop=True),
            x=_X,
            y=_Y,
            height=_HEIGHT,
            axes=False,
            legend=True,
            color_selected=_SELECTED,
            opacity_unselected=0.35,
            tooltip=True,
            tooltip_properties=[_SYMBOL, *(self._columns[name] for name in told)],
            tooltip_histograms=False,
            camera_distance=1.25,
        )
        self._scatter.widget.observe(self._selected, names="selection")
        self.widget: ipywidgets.Widget = self._scatter.show()

    def color(self, name: str) -> None:
        """Colour the genes by one of ``colors``; the selection stays."""
        how = self._colors[name]
        if len(self._rows):
            self._recolored = time.monotonic()
        self._scatter.color(by=self._columns[name], map=how.palette, norm=how.ends, labeling={"variable": name})

    def select(self, rows: np.ndarray) -> None:
        """Show genes as selected, without a report."""
        self._rows = rows
        self._scatter.widget.unobserve(self._selected, names="selection")
        self._scatter.selection(np.flatnonzero(np.isin(self._at, rows)))
        self._scatter.widget.observe(self._selected, names="selection")

    def _selected(self, change: dict[str, np.ndarray]) -> None:
        rows = self._at[np.sort(np.asarray(change["new"], dtype=int))]
        if not len(rows) and time.monotonic() - self._recolored < _REDRAWN_S:
            self._recolored = -np.inf
            self.select(self._rows)
        else:
            self._rows = rows
            self._on_select(rows)

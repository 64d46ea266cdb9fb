"""Interactive scatter plot of genes, with zoom, lasso and colours."""

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

    from simplechrome_tk.core.keys import MapKeys
    from simplechrome_tk.widgets._explorer_colors import Color

logger = logging.getLogger(__name__)

_HEIGHT = 560
_RECOLOR_SECONDS = 3.0
"""Within this time after a change of colours, jupyter-scatter may report an empty selection that the user did not make.
"""
_SELECTED_COLOR = "#CC79A7"
"""Reddish purple of Okabe and Ito (2008); no palette of this package starts with it."""


_X, _Y, _SYMBOL = "UMAP 1", "UMAP 2", "gene"
_RESERVED = frozenset({_X, _Y, _SYMBOL, "x", "y", "color", "opacity", "size"})
"""Names of columns that jupyter-scatter, or this map, uses itself."""


def rows_with_coordinates(xy: np.ndarray, keys: MapKeys) -> np.ndarray:
    """Return the rows of genes that have coordinates on the map; raise ``ValueError`` where ``xy`` is no map."""
    slot, fix = keys.umap, f"run {keys.embed_call()} again"
    if xy.ndim != 2 or xy.shape[1] < 2:
        msg = f"obsm[{slot!r}] has shape {xy.shape}; expected two coordinates for each gene: {fix}."
        raise ValueError(msg)
    rows = np.flatnonzero(np.isfinite(xy[:, :2]).all(axis=1))
    if not len(rows):
        msg = f"obsm[{slot!r}] holds coordinates for none of {len(xy)} genes: {fix}."
        raise ValueError(msg)
    if len(rows) < len(xy):
        logger.warning(
            "%d of %d genes have no coordinates in obsm[%r] and are not drawn.", len(xy) - len(rows), len(xy), slot
        )
    return rows


class GeneMap:
    """Genes at their coordinates, which jupyter-scatter draws with WebGL.

    Parameters
    ----------
    xy
        Coordinates of the genes, ``(n_genes, 2)``.
    symbols
        Names of the genes, ``(n_genes,)``.
    colors
        Colours to choose from, by name.
    tooltip
        Names among ``colors`` whose values the tooltip of a gene shows.
    keys
        Names of the slots of the map, for messages.
    on_select
        Function that is called with the rows, ``(n_selected,)``, that were selected on the map.
    """

    def __init__(
        self,
        xy: np.ndarray,
        symbols: np.ndarray,
        colors: dict[str, Color],
        *,
        tooltip: Sequence[str],
        keys: MapKeys,
        on_select: Callable[[np.ndarray], None],
    ) -> None:
        self._colors = colors
        self._rows_on_map = rows_with_coordinates(xy, keys)
        self._on_select = on_select
        self._selected = np.empty(0, dtype=int)
        self._recolored = -np.inf
        # A column of obs may have the name of a coordinate or of a property of jupyter-scatter, such as x.
        self._columns: dict[str, str] = {}
        for name in colors:
            self._columns[name] = unused(name, _RESERVED | set(self._columns.values()) | (set(colors) - {name}))
        columns = {
            self._columns[name]: color.values.round(3).to_numpy() if color.ends else color.values.array
            for name, color in colors.items()
        }
        table = pd.DataFrame({_X: xy[:, 0], _Y: xy[:, 1], _SYMBOL: symbols, **columns})
        self._scatter = jscatter.Scatter(
            data=table.iloc[self._rows_on_map].reset_index(drop=True),
            x=_X,
            y=_Y,
            height=_HEIGHT,
            axes=False,
            legend=True,
            color_selected=_SELECTED_COLOR,
            opacity_unselected=0.35,
            tooltip=True,
            tooltip_properties=[_SYMBOL, *(self._columns[name] for name in tooltip)],
            tooltip_histograms=False,
            camera_distance=1.25,
        )
        self._scatter.widget.observe(self._on_selection, names="selection")
        self.widget: ipywidgets.Widget = self._scatter.show()

    def color(self, name: str) -> None:
        """Colour the genes by one of ``colors``, and keep the selection."""
        color = self._colors[name]
        if len(self._selected):
            self._recolored = time.monotonic()
        self._scatter.color(by=self._columns[name], map=color.palette, norm=color.ends, labeling={"variable": name})

    def select(self, rows: np.ndarray) -> None:
        """Show genes as selected, without a call of ``on_select``."""
        self._selected = rows
        # Without the pause, jupyter-scatter would report the selection back as one of the user.
        self._scatter.widget.unobserve(self._on_selection, names="selection")
        self._scatter.selection(np.flatnonzero(np.isin(self._rows_on_map, rows)))
        self._scatter.widget.observe(self._on_selection, names="selection")

    def _on_selection(self, change: dict[str, np.ndarray]) -> None:
        rows = self._rows_on_map[np.sort(np.asarray(change["new"], dtype=int))]
        # jupyter-scatter drops the selection when it draws new colours; the map restores it.
        if not len(rows) and time.monotonic() - self._recolored < _RECOLOR_SECONDS:
            self._recolored = -np.inf
            self.select(self._selected)
        else:
            self._selected = rows
            self._on_select(rows)

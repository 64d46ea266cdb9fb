"""The map of genes: zoom, lasso, colours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import jscatter
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import ipywidgets

    from simplechrome_tk.widgets._explorer_colors import Color

_HEIGHT = 560
_REDRAWN_S = 3.0
"""A map drawn in new colours reports within this time that nothing is selected, which nobody asked for."""
_SELECTED = "#CC79A7"
"""Reddish purple of Okabe and Ito (2008), which no palette here starts with."""


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
        on_select: Callable[[np.ndarray], None],
    ) -> None:
        self._colors = colors
        self._on_select = on_select
        self._rows = np.empty(0, dtype=int)
        self._recolored = -np.inf
        columns = {
            name: how.values.round(3).to_numpy() if how.ends else how.values.array for name, how in colors.items()
        }
        self._scatter = jscatter.Scatter(
            data=pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "symbol": symbols, **columns}),
            x="x",
            y="y",
            height=_HEIGHT,
            axes=False,
            legend=True,
            color_selected=_SELECTED,
            opacity_unselected=0.35,
            tooltip=True,
            tooltip_properties=["symbol", *told],
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
        self._scatter.color(by=name, map=how.palette, norm=how.ends, labeling={"variable": name})

    def select(self, rows: np.ndarray) -> None:
        """Show genes as selected, without a report."""
        self._rows = rows
        self._scatter.widget.unobserve(self._selected, names="selection")
        self._scatter.selection(rows)
        self._scatter.widget.observe(self._selected, names="selection")

    def _selected(self, change: dict[str, np.ndarray]) -> None:
        rows = np.sort(np.asarray(change["new"], dtype=int))
        if not len(rows) and time.monotonic() - self._recolored < _REDRAWN_S:
            self._recolored = -np.inf
            self.select(self._rows)
        else:
            self._rows = rows
            self._on_select(rows)

"""The sheet of paper of `pl.browser`: where its panels lie, in inches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import effect_color, literal, signed
from simplechrome_tk.pl.genes._lane import Lane, draw_lane, limits, names_height, remarks, strongest, tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN = 1.5, 0.75, 0.9, 0.55, 0.3
_TRACK, _EFFECT, _SPACE = 0.36, 0.36, 0.13
_TIER, _GAP, _HEAD = 0.16, 0.3, 0.7
_NARROWEST, _ALL_TRACKS = 3.2, 7.6


class Page:
    """A figure with rows of tracks, a column of sums at their right and a lane of genes beneath.

    Parameters
    ----------
    n_marks, n_regions
        Tracks, and panels of each.
    effects
        Whether each track has effects beneath it.
    shown
        Genes of the lane; ``None`` without one.
    """

    def __init__(self, n_marks: int, n_regions: int, *, effects: bool, shown: Lane | None) -> None:
        self._panel = max((_ALL_TRACKS + _BETWEEN) / n_regions - _BETWEEN, _NARROWEST)
        self._n_marks, self._n_regions = n_marks, n_regions
        self._tracks = (self._panel + _BETWEEN) * n_regions - _BETWEEN
        self._row = _TRACK + _EFFECT * effects + _SPACE
        self._genes = [] if shown is None else strongest(shown.genes, self._tracks)
        self._names = [gene.symbol + (f" {signed(gene.effect)}" if n else "") for n, gene in enumerate(self._genes)]
        self._lane = 0.0
        if shown is not None:
            low, high = limits(self._genes)
            levels = max(tiers(self._genes, (high - low) / self._tracks)) + 1
            self._lane = _TIER * (levels + 0.5) + _GAP + names_height(self._names)
        height = _TOP + self._row * n_marks + _BOTTOM + (_HEAD + self._lane - _BOTTOM / 2) * (shown is not None)
        self._size = (_LEFT + self._tracks + _RIGHT, height)
        self.figure = new_figure(figsize=self._size)

    def _axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add Axes; ``left`` and ``top`` count from the upper left corner."""
        across, down = self._size
        return self.figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))

    def _write(self, left: float, top: float, text: str, **style: Any) -> None:
        self.figure.text(left / self._size[0], 1 - top / self._size[1], literal(text), **style)

    def rows(self, *, effect: bool) -> np.ndarray:
        """Add the panels of the tracks, or of the effects beneath them, ``(n_marks, n_regions)``."""
        axes = np.empty((self._n_marks, self._n_regions), dtype=object)
        for row, column in np.ndindex(*axes.shape):
            top = _TOP + row * self._row + _TRACK * effect
            left = _LEFT + column * (self._panel + _BETWEEN)
            axes[row, column] = self._axes(left, top, self._panel, _EFFECT if effect else _TRACK)
        return axes

    def name(self, row: int, mark: str) -> None:
        """Write the name of a track at its left."""
        middle = _TOP + row * self._row + (self._row - _SPACE) / 2
        self._write(_LEFT - 0.55, middle, mark, ha="right", va="center", fontsize=9, fontweight="bold")

    def sums(self, sums: np.ndarray) -> None:
        """Write the sum of each mark's effects at the right of its track."""
        left = _LEFT + self._tracks + 0.08
        self._write(left, _TOP - 0.08, "sum", fontsize=8, color="0.4")
        for row, value in enumerate(sums):
            middle = _TOP + row * self._row + _TRACK + _EFFECT / 2
            self._write(left, middle, signed(value), va="center", fontsize=9, color=effect_color(value))

    def head(self, text: str, handles: Sequence[Artist]) -> None:
        """Write the title, and explain the colours."""
        self._write(_LEFT - 1.35, 0.12, text, va="top", fontsize=10, linespacing=1.4)
        self.figure.legend(
            handles=handles,
            loc="upper right",
            bbox_to_anchor=((_LEFT + self._tracks) / self._size[0], 1 - 0.5 / self._size[1]),
            borderaxespad=0,
            ncols=len(handles),
            frameon=False,
            fontsize=8,
            handlelength=1.0,
            handleheight=0.8,
        )

    def genome(self, shown: Lane, chrom: str) -> Axes:
        """Add the lane of genes, to scale along the chromosome."""
        top = _TOP + self._n_marks * self._row + _BOTTOM / 2 + _HEAD
        ax = self._axes(_LEFT, top, self._tracks, self._lane)
        ax.set_xlim(*limits(self._genes))
        ax.set_ylim(-self._lane, 0)
        draw_lane(ax, self._genes, self._names, width=self._tracks, top=-_TIER / 2, tier=_TIER, gap=_GAP)
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda bp, _: f"{bp / 1e6:,.6g}"))
        ax.set_xlabel(literal("\n".join([*remarks(shown, self._tracks), f"{chrom} (Mb)"])), fontsize=8)
        ax.tick_params(axis="x", labelsize=8, length=3)
        ax.set_yticks([])
        ax.spines[["left", "right", "bottom"]].set_visible(False)
        middle = top + _TIER
        self._write(_LEFT - 0.15, middle, "neighbours", ha="right", va="center", fontsize=9, fontweight="bold")
        if len(shown.table):
            total = float(shown.table["effect"].sum())
            color = effect_color(total)
            self._write(_LEFT + self._tracks + 0.08, middle, signed(total), va="center", fontsize=9, color=color)
        return ax

"""The figure of `pl.browser` and `pl.contrast_browser`, and where its panels lie, in inches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import effect_color, literal, signed
from simplechrome_tk.pl.genes._gene_track import (
    GeneTrack,
    assign_rows,
    describe_omissions,
    draw_gene_track,
    find_limits,
    measure_names,
    select_strongest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN = 1.5, 0.75, 0.9, 0.55, 0.3
"""Margins, and room between the panels of two regions, in inches."""
_LANE, _SPACE = 0.36, 0.13
"""Height of a panel, and of the room below the panels of a mark, in inches."""
_TITLE_LINE = 0.195
"""Height of a line of the title, in inches."""
_ROW, _LINES, _AXIS = 0.16, 0.3, 0.7
"""Of the gene track: heights of a row of genes, of the lines to the names and of the axis above, in inches."""
_FONT = 8
"""Size of the text above the gene track, in points."""
_NARROWEST, _ALL_REGIONS = 3.2, 7.6
"""Least width of a panel, and width of all panels side by side, in inches."""


class BrowserPage:
    """A figure with rows of tracks, a column of sums to their right and a gene track below them.

    Parameters
    ----------
    n_marks, n_regions
        Rows of tracks, and panels in each lane of a row.
    n_lanes
        Lanes of panels of each mark, below each other, such as the signal and its effects.
    track
        Genes of the gene track; ``None`` without one.
    n_lines
        Lines of the title.
    gap
        Room between the lanes of a mark, in inches, where ticks of two lanes would touch.
    """

    def __init__(
        self,
        n_marks: int,
        n_regions: int,
        *,
        n_lanes: int,
        track: GeneTrack | None,
        n_lines: int = 2,
        gap: float = 0.0,
    ) -> None:
        self._n_marks, self._n_regions = n_marks, n_regions
        # From the top of a lane to that of the next one, and from the top of a row to its lowest lane.
        self._lane_step = _LANE + gap
        self._lowest_lane = self._lane_step * (n_lanes - 1)
        self._top = _TOP + (n_lines - 2) * _TITLE_LINE
        # Panels share a fixed width, but many regions make the figure wider and not the panels unreadable.
        self._panel_width = max((_ALL_REGIONS + _BETWEEN) / n_regions - _BETWEEN, _NARROWEST)
        self._width = (self._panel_width + _BETWEEN) * n_regions - _BETWEEN
        self._row_height = self._lowest_lane + _LANE + _SPACE
        height = self._top + self._row_height * n_marks + _BOTTOM
        if track is not None:
            self._genes = select_strongest(track.genes, self._width)
            # The figure is made last, since its height depends on the rows and names of the gene track.
            own, *others = self._genes
            self._names = [own.symbol, *(f"{gene.symbol} {signed(gene.effect)}" for gene in others)]
            low, high = find_limits(self._genes)
            n_rows = max(assign_rows(self._genes, (high - low) / self._width)) + 1
            self._track_height = _ROW * (n_rows + 0.5) + _LINES + measure_names(self._names)
            height += _AXIS + self._track_height - _BOTTOM / 2
        self._size = (_LEFT + self._width + _RIGHT, height)
        self.figure = new_figure(figsize=self._size)

    def _add_axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add Axes; ``left`` and ``top`` count from the upper left corner."""
        across, down = self._size
        return self.figure.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))

    def _write(self, left: float, top: float, text: str, **style: Any) -> None:
        self.figure.text(left / self._size[0], 1 - top / self._size[1], literal(text), **style)

    def add_panels(self, lane: int) -> np.ndarray:
        """Add the panels of a lane, 0 for the upper one, ``(n_marks, n_regions)``."""
        axes = np.empty((self._n_marks, self._n_regions), dtype=object)
        for row, column in np.ndindex(*axes.shape):
            top = self._top + row * self._row_height + lane * self._lane_step
            left = _LEFT + column * (self._panel_width + _BETWEEN)
            axes[row, column] = self._add_axes(left, top, self._panel_width, _LANE)
        return axes

    def write_mark(self, row: int, mark: str) -> None:
        """Write the name of a mark to the left of its row."""
        middle = self._top + row * self._row_height + (self._row_height - _SPACE) / 2
        self._write(_LEFT - 0.55, middle, mark, ha="right", va="center", fontsize=9, fontweight="bold")

    def write_sums(self, sums: np.ndarray) -> None:
        """Write the sum of the effects of each mark to the right of its lowest lane."""
        left = _LEFT + self._width + 0.08
        self._write(left, self._top - 0.08, "sum", fontsize=8, color="0.4")
        for row, value in enumerate(sums):
            middle = self._top + row * self._row_height + self._lowest_lane + _LANE / 2
            self._write(left, middle, signed(value), va="center", fontsize=9, color=effect_color(value))

    def write_title(self, text: str, handles: Sequence[Artist]) -> None:
        """Write the title, and explain the colours."""
        self._write(_LEFT - 1.35, 0.12, text, va="top", fontsize=10, linespacing=1.4)
        self.figure.legend(
            handles=handles,
            loc="upper right",
            bbox_to_anchor=((_LEFT + self._width) / self._size[0], 1 - (self._top - 0.4) / self._size[1]),
            borderaxespad=0,
            ncols=len(handles),
            frameon=False,
            fontsize=8,
            handlelength=1.0,
            handleheight=0.8,
        )

    def add_gene_track(self, track: GeneTrack, chrom: str) -> Axes:
        """Add the gene track, to scale along the chromosome."""
        top = self._top + self._n_marks * self._row_height + _BOTTOM / 2 + _AXIS
        ax = self._add_axes(_LEFT, top, self._width, self._track_height)
        ax.set_xlim(*find_limits(self._genes))
        ax.set_ylim(-self._track_height, 0)
        draw_gene_track(
            ax, self._genes, self._names, width=self._width, top=-_ROW / 2, row_height=_ROW, line_height=_LINES
        )
        ax.xaxis.tick_top()
        ax.xaxis.set_label_position("top")
        ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda bp, _: f"{bp / 1e6:,.6g}"))
        lines = [*describe_omissions(track, self._width, font=_FONT), f"{chrom} (Mb)"]
        ax.set_xlabel(literal("\n".join(lines)), fontsize=_FONT)
        ax.tick_params(axis="x", labelsize=_FONT, length=3)
        ax.set_yticks([])
        ax.spines[["left", "right", "bottom"]].set_visible(False)
        middle = top + _ROW
        self._write(_LEFT - 0.15, middle, "related genes", ha="right", va="center", fontsize=9, fontweight="bold")
        if len(track.table):
            total = float(track.table["effect"].sum())
            color = effect_color(total)
            self._write(_LEFT + self._width + 0.08, middle, signed(total), va="center", fontsize=9, color=color)
        return ax

"""The marks of a gene before and after edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, values
from simplechrome_tk.core.require import gene_row, symbols
from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import GREY, UP, along, bounds, literal, measure

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

_SMALL = 8
"""Size of small text, in points."""
_REGION_WIDTH, _MARK_HEIGHT, _MARGIN = 4.2, 0.62, (1.2, 1.1)
"""Width of a region, height of a mark, and width and height of the margins, in inches."""
_TITLE, _AXIS = 0.42, 0.58
"""Heights of the title and of the axis below, in inches."""
_GRID = {"left": 0.11, "right": 0.975, "hspace": 0.35, "wspace": 0.06}


def edited(adata: ad.AnnData, edited: ad.AnnData, gene: str, *, layer: str | None = k.SIGNAL) -> np.ndarray:
    """Draw a gene's marks as measured, in grey, and as edited, as a line in front.

    Parameters
    ----------
    adata
        Genes by bins as measured.
    edited
        The same columns with edited signal, from :func:`simplechrome_tk.tl.apply_edits` with ``copy=True``.
    gene
        Id or symbol of a gene in both.
    layer
        Tracks to draw, as for :func:`simplechrome_tk.get.region`: ``"signal"``, the signal before normalisation.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_marks, n_regions)``; each mark has one scale.

    Raises
    ------
    ValueError
        When the columns differ, or a gene of this name is not in both.
    """
    if list(adata.var_names) != list(edited.var_names):
        msg = (
            f"the {edited.n_vars} columns of edited are not the {adata.n_vars} columns of adata; expected the same, "
            "which sct.tl.apply_edits keeps."
        )
        raise ValueError(msg)
    layout = Layout.of(adata)
    width = _REGION_WIDTH * len(layout.regions) + _MARGIN[0]
    figure = new_figure(figsize=(width, _MARK_HEIGHT * len(layout.marks) + _MARGIN[1]))
    return draw_edited(figure, adata, edited, gene, layer=layer)


def draw_edited(
    figure: FigureBase, adata: ad.AnnData, edited: ad.AnnData, gene: str, *, layer: str | None = k.SIGNAL
) -> np.ndarray:
    """Draw :func:`edited` on a figure or a part of one."""
    row = gene_row(adata, gene)
    row_edited = gene_row(edited, str(adata.obs_names[row]))
    layout = Layout.of(adata)
    # Both as (2, n_columns): measured, edited.
    tracks = np.stack([values(adata, layer)[row], values(edited, layer)[row_edited]])
    n_marks = len(layout.marks)
    height = _MARK_HEIGHT * n_marks + _MARGIN[1]
    grid = {**_GRID, "top": 1 - _TITLE / height, "bottom": _AXIS / height}
    axes = figure.subplots(n_marks, len(layout.regions), sharey="row", squeeze=False, gridspec_kw=grid)
    for column, region in enumerate(layout.regions):
        axis, edges = along(adata, region), bounds(adata, region)
        before, after = layout.view(tracks, region)
        for i, ax in enumerate(axes[:, column]):
            ax.stairs(before[i], edges, fill=True, color="0.72", label="as measured")
            # A line on tracks that were not edited would hide that they are the same.
            if not np.array_equal(before[i], after[i]):
                ax.stairs(after[i], edges, baseline=None, color=UP, linewidth=1.4, label="edited")
            _style_axes(ax, edges, marker=axis.marker is not None, bottom=i == n_marks - 1)
        axes[-1, column].set_xlabel(literal(axis.label), fontsize="small")
    for i, mark in enumerate(layout.marks):
        _set_scale(axes[i, 0], tracks[:, layout.mark == mark])
        axes[i, 0].set_ylabel(literal(mark), rotation=0, ha="right", va="center", fontsize="small")
        axes[i, 0].yaxis.set_label_coords(-0.085, 0.5)
    _write_title(figure, axes, f"{symbols(adata)[row]}: {measure(adata, layer)}")
    return axes


def _style_axes(ax: Axes, edges: np.ndarray, *, marker: bool, bottom: bool) -> None:
    """Draw everything but the values: ticks on panels at the ``bottom``, and a line at the anchor."""
    ax.set_xlim(edges[0], edges[-1])
    ax.locator_params(axis="x", nbins=6)
    ax.tick_params(axis="x", bottom=bottom, labelbottom=bottom, labelsize=_SMALL)
    ax.tick_params(axis="y", labelsize=_SMALL, length=2, pad=2)
    ax.spines[["right", "top"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("0.7")
    if marker:
        ax.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)


def _set_scale(ax: Axes, tracks: np.ndarray) -> None:
    """Give a row one scale, from 0 where no value is below, with its ends as ticks; all its panels share it."""
    lowest, highest = min(0.0, float(tracks.min())), max(0.0, float(tracks.max()))
    room = 0.08 * (highest - lowest) or 1.0
    ax.set_ylim(lowest - room if lowest < 0 else lowest, highest + room)
    ticks = sorted({lowest, 0.0, highest})
    ax.set_yticks(ticks, [f"{tick:.3g}".replace("-", "−") for tick in ticks])


def _write_title(figure: FigureBase, axes: np.ndarray, title: str) -> None:
    """Write the title, and explain the colours that were drawn."""
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.text(_GRID["left"], 0.99, literal(title), ha="left", va="top", fontsize="medium")
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="upper right",
        bbox_to_anchor=(0.99, 1.0),
        ncols=2,
        frameon=False,
        fontsize="small",
        borderaxespad=0.1,
    )

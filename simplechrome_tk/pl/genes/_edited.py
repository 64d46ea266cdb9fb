"""Draw the marks of a gene before and after edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.layout import region as get_region
from simplechrome_tk.core.require import gene_row, symbols
from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import GREY, UP, along, bounds, literal, measure

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase

_SMALL = 8
_MARGINS = {"left": 0.11, "right": 0.975, "hspace": 0.35, "wspace": 0.06}


def edited(adata: ad.AnnData, edited: ad.AnnData, gene: str, *, layer: str | None = k.SIGNAL) -> np.ndarray:
    """Draw a gene's marks as measured, in grey, and as edited, as a line over them.

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
            f"the edited data have {edited.n_vars} columns, others than the {adata.n_vars} measured; expected the same."
        )
        raise ValueError(msg)
    n_marks, n_regions = adata.var[k.MARK].nunique(), adata.var[k.REGION].nunique()
    figure = new_figure(figsize=(4.2 * n_regions + 1.2, 0.62 * n_marks + 1.1))
    return draw_edited(figure, adata, edited, gene, layer=layer)


def draw_edited(
    figure: FigureBase, adata: ad.AnnData, edited: ad.AnnData, gene: str, *, layer: str | None = k.SIGNAL
) -> np.ndarray:
    """Draw :func:`edited` on a figure or a part of one."""
    row = gene_row(adata, gene)
    after = gene_row(edited, str(adata.obs_names[row]))
    table = blocks(adata)
    regions, marks = list(table["region"].unique()), list(table["mark"].unique())
    top, bottom = 1 - 0.42 / (0.62 * len(marks) + 1.1), 0.58 / (0.62 * len(marks) + 1.1)
    axes = figure.subplots(
        len(marks), len(regions), sharey="row", squeeze=False, gridspec_kw={**_MARGINS, "top": top, "bottom": bottom}
    )
    tracks = {
        name: [get_region(data, name, layer=layer)[at] for data, at in ((adata, row), (edited, after))]
        for name in regions
    }
    for column, region in enumerate(regions):
        axis, edges = along(adata, region), bounds(adata, region)
        old, new = tracks[region]
        for i, ax in enumerate(axes[:, column]):
            ax.stairs(old[i], edges, fill=True, color="0.72", label="as measured")
            if not np.array_equal(old[i], new[i]):
                ax.stairs(new[i], edges, baseline=None, color=UP, linewidth=1.4, label="edited")
            _dress(ax, edges, marked=axis.marker is not None, last=i == len(marks) - 1)
        axes[-1, column].set_xlabel(literal(axis.label), fontsize="small")
    for i, mark in enumerate(marks):
        _limit(axes[i], [track[i] for panels in tracks.values() for track in panels])
        axes[i, 0].set_ylabel(literal(mark), rotation=0, ha="right", va="center", fontsize="small")
        axes[i, 0].yaxis.set_label_coords(-0.085, 0.5)
    _legend(figure, axes, f"{symbols(adata)[row]}: {measure(adata, layer)}")
    return axes


def _dress(ax: Axes, edges: np.ndarray, *, marked: bool, last: bool) -> None:
    ax.set_xlim(edges[0], edges[-1])
    ax.locator_params(axis="x", nbins=6)
    ax.tick_params(axis="x", bottom=last, labelbottom=last, labelsize=_SMALL)
    ax.tick_params(axis="y", labelsize=_SMALL, length=2, pad=2)
    ax.spines[["right", "top"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("0.7")
    if marked:
        ax.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)


def _limit(axes: np.ndarray, panels: list[np.ndarray]) -> None:
    """Give a row one scale, from 0 where no value is below, with its ends as ticks."""
    lowest = min(0.0, *(float(panel.min()) for panel in panels))
    highest = max(0.0, *(float(panel.max()) for panel in panels))
    room = 0.08 * (highest - lowest) or 1.0
    axes[0].set_ylim(lowest - room * (lowest < 0), highest + room)
    ticks = sorted({lowest, 0.0, highest})
    axes[0].set_yticks(ticks, [f"{tick:.3g}".replace("-", "−") for tick in ticks])


def _legend(figure: FigureBase, axes: np.ndarray, heading: str) -> None:
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.text(_MARGINS["left"], 0.99, literal(heading), ha="left", va="top", fontsize="medium")
    figure.legend(
        list(handles.values()), list(handles), loc="upper right", bbox_to_anchor=(0.99, 1.0), ncols=2, frameon=False,
        fontsize="small", borderaxespad=0.1,
    )  # fmt: skip

"""A gene as a genome browser shows it, with the effect of each bin and each neighbour on the prediction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, StepPatch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks, values
from simplechrome_tk.core.require import gene_row
from simplechrome_tk.pl._style import DOWN, UP, along, bounds, literal, measure, signed
from simplechrome_tk.pl.genes._browser_page import Page
from simplechrome_tk.pl.genes._gene import title
from simplechrome_tk.pl.genes._lane import Lane, lane
from simplechrome_tk.tl.attribution._stored import has_neighbors, record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

_SIGNAL = "0.6"
_SMALL = 7


class BrowserAxes(NamedTuple):
    """Axes of :func:`browser`.

    ``signal`` ``(n_marks, n_regions)``; ``effect``, the same, without rows where the gene has no attributions;
    ``genome``, the gene among its neighbours, ``None`` where the model has none.
    """

    signal: np.ndarray
    effect: np.ndarray
    genome: Axes | None


def browser(
    adata: ad.AnnData,
    gene: str,
    *,
    key: str = k.ATTRIBUTION,
    layer: str | None = k.SIGNAL,
    alike: Sequence[str] = (),
) -> BrowserAxes:
    """Draw a gene's marks as tracks, under each what its bins do, and beneath the gene among its neighbours.

    Tracks read from 5' to 3' of the gene, each mark on its own scale. Effects are bars on one scale for all marks and
    regions, vermilion where a bin raises the prediction and blue where it lowers it; sums are written on the right.
    Effects are of the model, and per bin: a bin of the body may be a hundred times as wide as one around the TSS, and
    where two regions overlap they share one effect, so that heights in different regions cannot be compared. The
    genome below is to scale and reads from left to right of the chromosome, arrows show strands, and neighbours are
    coloured by their effect, the strongest in full colour; where there is no room for all names, the strongest are
    drawn and the others counted. Without attributions the tracks are drawn alone.

    Parameters
    ----------
    adata
        Genes by bins; with the attributions that :func:`simplechrome_tk.tl.attribute` wrote, if there are any.
    gene
        Name in ``obs_names``, or a symbol that names one row.
    key
        Name of the attributions.
    layer
        Tracks to draw, as for :func:`simplechrome_tk.get.region`: ``"signal"``, the signal before normalisation.
    alike
        Other genes, or ids of the gene in other cell types, that the scales have room for too: figures of several that
        name each other can be compared by eye.

    Returns
    -------
    BrowserAxes
        ``signal`` and ``effect``, arrays of Axes of shape ``(n_marks, n_regions)``, and ``genome``.

    Raises
    ------
    ValueError
        When no gene has this name or several do, attributions other than the usual are asked for that are not there, or
        the graph of the neighbours is missing or has changed since.
    """
    row = gene_row(adata, gene)
    table = blocks(adata)
    regions, marks = list(table["region"].unique()), list(table["mark"].unique())
    tracks = _by_region(values(adata, layer)[row], table)
    effects = _effects(adata, row, key, table)
    shown = lane(adata, row, key) if effects and has_neighbors(adata, key) else None
    page = Page(len(marks), len(regions), effects=bool(effects), shown=shown)
    signal_axes = page.rows(effect=False)
    effect_axes = page.rows(effect=True) if effects else np.empty((0, len(regions)), dtype=object)
    for column, region in enumerate(regions):
        edges, axis = bounds(adata, region), along(adata, region)
        for i in range(len(marks)):
            _steps(signal_axes[i, column], tracks[region][i], edges, _SIGNAL)
            if effects:
                _bars(effect_axes[i, column], effects[region][i], edges)
        last = (effect_axes if effects else signal_axes)[-1, column]
        for ax in [*signal_axes[:, column], *effect_axes[:, column]]:
            _dress(ax, edges, marked=axis.marker is not None, left=column == 0, bottom=ax is last)
        last.set_xlabel(literal(axis.label), fontsize="small")
    scaled = [row, *(gene_row(adata, other) for other in alike)]
    signal = values(adata, layer)[scaled]
    for i, mark in enumerate(marks):
        page.name(i, mark)
        _limit(signal_axes[i], *_range(signal[:, (adata.var[k.MARK] == mark).to_numpy()]))
    heading = title(adata, row)
    handles = [Patch(color=_SIGNAL, label=literal(measure(adata, layer)))]
    if effects:
        lowest, highest = _range(values(adata, key)[scaled])
        for axes in effect_axes:
            _limit(axes, lowest, highest)
        own = np.sum([panel.sum(axis=1, dtype=float) for panel in effects.values()], axis=0)
        page.sums(own)
        heading += "\n" + _account(record(adata, key), float(own.sum()), shown)
        handles += [Patch(color=UP, label="effect of bin: raises"), Patch(color=DOWN, label="lowers")]
    page.head(heading, handles)
    genome = None if shown is None else page.genome(shown, str(adata.obs[k.CHROM].iloc[row]))
    return BrowserAxes(signal_axes, effect_axes, genome)


def _by_region(columns: np.ndarray, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Fold the columns of a gene into marks by bins, region by region."""
    return {
        str(name): columns[part["start"].iloc[0] : part["stop"].iloc[-1]].reshape(len(part), -1)
        for name, part in table.groupby("region", sort=False)
    }


def _effects(adata: ad.AnnData, row: int, key: str, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Effects of the gene's bins by region, ``(n_marks, n_bins)``; empty where there are none."""
    if key == k.ATTRIBUTION and key not in adata.layers:
        return {}
    record(adata, key)
    effects = values(adata, key)[row]
    if np.isnan(effects).any():
        logger.info("%s has no attributions %r: its tracks are drawn alone.", adata.obs_names[row], key)
        return {}
    return _by_region(effects, table)


def _account(record: Mapping[str, object], own: float, shown: Lane | None) -> str:
    """Say in words what the effects come to."""
    if shown is None:
        return f"effect on {record['unit']}: {signed(own)}"
    neighbors = float(shown.table["effect"].sum())
    parts = f"own marks {signed(own)}, neighbours {signed(neighbors)}"
    return f"effect on {record['unit']}: {signed(own + neighbors)} ({parts})"


def _bars(ax: Axes, effects: np.ndarray, edges: np.ndarray) -> None:
    """One bar for each bin: two outlines, which are drawn in a tenth of the time of a hundred bars."""
    for heights, color in ((np.maximum(effects, 0), UP), (np.minimum(effects, 0), DOWN)):
        _steps(ax, heights, edges, color)
    ax.add_artist(Line2D([0, 1], [0, 0], transform=ax.get_yaxis_transform(), color="0.75", linewidth=0.6, zorder=0))


def _steps(ax: Axes, heights: np.ndarray, edges: np.ndarray, color: str) -> None:
    """Fill between heights and 0, as ``ax.stairs`` does; without looking for limits, which are set later."""
    ax.add_artist(StepPatch(heights, edges, baseline=0, fill=True, color=color, linewidth=0))


def _dress(ax: Axes, edges: np.ndarray, *, marked: bool, left: bool, bottom: bool) -> None:
    """Draw all but the values, with ticks ``left`` and at the ``bottom`` where they are asked for."""
    ax.set_xlim(edges[0], edges[-1])
    if bottom:
        ax.locator_params(axis="x", nbins=6)
        ax.tick_params(axis="x", labelsize=_SMALL + 1)
    else:
        ax.xaxis.set_visible(False)
    if left:
        ax.tick_params(axis="y", labelsize=_SMALL, length=2, pad=2)
    else:
        ax.yaxis.set_visible(False)
    ax.spines[["right", "top"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("0.7")
    if marked:
        across = ax.get_xaxis_transform()
        ax.add_artist(Line2D([0, 0], [0, 1], transform=across, color="0.5", linewidth=0.8, linestyle=":", zorder=0))


def _range(heights: np.ndarray) -> tuple[float, float]:
    """Smallest and largest value, and 0; NaN, of genes without attributions, does not count."""
    return min(0.0, float(np.nanmin(heights))), max(0.0, float(np.nanmax(heights)))


def _limit(axes: np.ndarray, lowest: float, highest: float) -> None:
    """Give panels one scale, with its ends other than 0 as ticks."""
    room = 0.06 * (highest - lowest) or 1.0
    ticks = [tick for tick in (lowest, highest) if tick]
    for ax in axes:
        ax.set_ylim(lowest - room * (lowest < 0), highest + room)
        if ax.yaxis.get_visible():
            ax.set_yticks(ticks, [f"{tick:.2g}".replace("-", "−") for tick in ticks])

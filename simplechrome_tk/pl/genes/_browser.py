"""Tracks of a gene, with the effect of each bin and of each neighbour on the prediction."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, StepPatch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, values
from simplechrome_tk.core.require import gene_row
from simplechrome_tk.get._attribution_shares import PARTS, attribution_shares, read_parts
from simplechrome_tk.pl._style import DOWN, UP, along, bounds, literal, measure, signed
from simplechrome_tk.pl.genes._browser_page import BrowserPage
from simplechrome_tk.pl.genes._gene import describe_gene
from simplechrome_tk.pl.genes._gene_track import place_genes
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects, read_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from matplotlib.axes import Axes

logger = logging.getLogger(__name__)

_SIGNAL = "0.6"
"""Colour of the signal."""
_SMALL = 7
"""Size of small text, in points."""


class BrowserAxes(NamedTuple):
    """Axes of :func:`browser`.

    Attributes
    ----------
    signal
        Axes of the tracks, ``(n_marks, n_regions)``.
    effect
        Axes of the effects below each track, of the same shape; without rows where the gene has no attributions.
    genome
        Axes of the gene among its neighbours; ``None`` where the model reads no related genes.
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
    same_scale_as: Sequence[str] = (),
) -> BrowserAxes:
    """Draw a gene's marks as tracks, the effects of their bins below each, and the gene among related genes.

    Tracks are read from 5' to 3' of the gene, each mark on its own scale. Effects are bars on one scale for all marks
    and regions, vermilion if a bin raises the prediction and blue if it lowers it; sums stand on the right. Effects
    describe the model, bin by bin: a bin of the body may be a hundred times as wide as one around the TSS, and two
    regions that overlap share one effect, so that heights in different regions cannot be compared. The gene track at
    the bottom is to scale and is read from left to right of the chromosome. It shows the gene, the neighbours that a
    graph by position links to it (:func:`simplechrome_tk.pp.tss_neighbors`,
    :func:`simplechrome_tk.pp.contact_neighbors`), and related genes between these. Its arrows show strands, and its
    colours show the effects, the strongest in full colour. If there is no room for all names, the strongest are drawn.
    Related genes elsewhere, such as co-expressed ones, are counted, and the strongest named with their effects;
    :func:`simplechrome_tk.get.neighbor_effects` lists all. Without attributions the tracks are drawn alone.

    Parameters
    ----------
    adata
        Genes by bins, with the attributions that :func:`simplechrome_tk.tl.attribute` wrote, if there are any.
    gene
        Name in ``obs_names``, or a symbol that names one row.
    key
        Name of the attributions.
    layer
        Tracks to draw, as for :func:`simplechrome_tk.get.region`: ``"signal"``, the signal before normalisation.
    same_scale_as
        Other genes, or ids of the gene in other cell types, whose values fit on the scales as well. Figures of genes
        that name each other can be compared by eye.

    Returns
    -------
    BrowserAxes
        ``signal`` and ``effect``, arrays of Axes of shape ``(n_marks, n_regions)``, and ``genome``.

    Raises
    ------
    ValueError
        When no gene has this name or several do, ``key`` names attributions that are not there, or the graph of the
        neighbours is missing or has changed since.

    Examples
    --------
    >>> sct.pl.browser(adata, "SIM0007").signal.shape
    (5, 2)
    """
    row = gene_row(adata, gene)
    rows = [row, *(gene_row(adata, other) for other in same_scale_as)]
    layout, signal = Layout.of(adata), values(adata, layer)[rows]
    effects = _read_effects(adata, rows, key)
    has_track = effects is not None and has_neighbor_effects(adata, key)
    track = place_genes(adata, row, key, to_scale=True) if has_track else None
    page = BrowserPage(len(layout.marks), len(layout.regions), n_lanes=1 if effects is None else 2, track=track)
    signal_axes = page.add_panels(0)
    effect_axes = np.empty((0, len(layout.regions)), dtype=object)
    if effects is not None:
        effect_axes = page.add_panels(1)
    for column, region in enumerate(layout.regions):
        edges, axis = bounds(adata, region), along(adata, region)
        for ax, heights in zip(signal_axes[:, column], layout.view(signal, region)[0], strict=True):
            draw_steps(ax, heights, edges, _SIGNAL)
        if effects is not None:
            for ax, heights in zip(effect_axes[:, column], layout.view(effects, region)[0], strict=True):
                _draw_bars(ax, heights, edges)
        panels = [*signal_axes[:, column], *effect_axes[:, column]]
        for ax in panels:
            style_axes(ax, edges, marker=axis.marker is not None, left=column == 0, bottom=ax is panels[-1])
        panels[-1].set_xlabel(literal(axis.label), fontsize="small")
    # All regions of a mark have one scale, and all genes of same_scale_as fit on it.
    for i, mark in enumerate(layout.marks):
        page.write_mark(i, mark)
        set_scale(signal_axes[i], signal[:, layout.mark == mark])
    title = describe_gene(adata, row)
    handles = [Patch(color=_SIGNAL, label=literal(measure(adata, layer)))]
    if effects is not None:
        # Effects of all marks have one scale, so that a strong mark looks strong.
        for axes in effect_axes:
            set_scale(axes, effects)
        sums = np.array([effects[0, layout.mark == mark].sum(dtype=float) for mark in layout.marks])
        page.write_sums(sums)
        title += "\n" + describe_sums(adata, adata.obs_names[row], key)
        handles += [Patch(color=UP, label="effect of bin: raises"), Patch(color=DOWN, label="lowers")]
    page.write_title(title, handles)
    genome = None if track is None else page.add_gene_track(track, str(adata.obs[k.CHROM].iloc[row]))
    return BrowserAxes(signal_axes, effect_axes, genome)


def _read_effects(adata: ad.AnnData, rows: Sequence[int], key: str) -> np.ndarray | None:
    """Return the effects of the bins of genes, ``(len(rows), n_columns)``; ``None`` where the first gene has none."""
    # Without any attributions the usual key is no mistake, whereas another key names some that must be there.
    if key == k.ATTRIBUTION and key not in adata.layers:
        return None
    read_record(adata, key)
    effects = values(adata, key)[rows]
    if np.isnan(effects[0]).any():
        logger.info("%s has no attributions %r: its tracks are drawn alone.", adata.obs_names[rows[0]], key)
        return None
    return effects


def describe_sums(adata: ad.AnnData, gene: str, key: str) -> str:
    """Return the sum of all effects in words, with its parts where there are several."""
    effects = attribution_shares(adata, genes=[gene], key=key).iloc[0]
    read = read_parts(adata, key)
    total = f"effect on {read_record(adata, key)['unit']}: {signed(effects[list(read)].sum())}"
    named = ", ".join(f"{PARTS[part]} {signed(effects[part])}" for part in read)
    return f"{total} ({named})" if len(read) > 1 else total


def _draw_bars(ax: Axes, effects: np.ndarray, edges: np.ndarray) -> None:
    """Draw a bar for each bin, as two outlines, which take a tenth of the time of a hundred bars."""
    for heights, color in ((np.maximum(effects, 0), UP), (np.minimum(effects, 0), DOWN)):
        draw_steps(ax, heights, edges, color)
    ax.add_artist(Line2D([0, 1], [0, 0], transform=ax.get_yaxis_transform(), color="0.75", linewidth=0.6, zorder=0))


def draw_steps(ax: Axes, heights: np.ndarray, edges: np.ndarray, color: str) -> None:
    """Fill between heights and 0, as ``ax.stairs`` does, but without its search for limits, which are set later."""
    ax.add_artist(StepPatch(heights, edges, baseline=0, fill=True, color=color, linewidth=0))


def style_axes(ax: Axes, edges: np.ndarray, *, marker: bool, left: bool, bottom: bool) -> None:
    """Draw everything but the values: ticks on panels at the ``left`` and ``bottom``, and a line at the anchor."""
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
    if marker:
        across = ax.get_xaxis_transform()
        ax.add_artist(Line2D([0, 0], [0, 1], transform=across, color="0.5", linewidth=0.8, linestyle=":", zorder=0))


def set_scale(axes: np.ndarray, heights: np.ndarray) -> None:
    """Give panels one scale that holds all heights and 0, with its ends other than 0 as ticks.

    NaN, of genes without attributions, does not count.
    """
    lowest, highest = min(0.0, float(np.nanmin(heights))), max(0.0, float(np.nanmax(heights)))
    room = 0.06 * (highest - lowest) or 1.0
    bottom = lowest - room if lowest < 0 else lowest
    ticks = [tick for tick in (lowest, highest) if tick]
    for ax in axes:
        ax.set_ylim(bottom, highest + room)
        if ax.yaxis.get_visible():
            ax.set_yticks(ticks, [f"{tick:.2g}".replace("-", "−") for tick in ticks])

"""Tracks of one gene in two conditions, their difference, and its effect on the change of expression."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch, StepPatch

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, values
from simplechrome_tk.get._contrast import read_contrast
from simplechrome_tk.pl._style import DOWN, EFFECTS, GREY, UP, along, bounds, effect_norm, literal, measure, signed
from simplechrome_tk.pl.contrast._gene_pair import read_pair
from simplechrome_tk.pl.genes._browser import describe_sums, draw_steps, set_scale, style_axes
from simplechrome_tk.pl.genes._browser_page import BrowserPage
from simplechrome_tk.pl.genes._gene import describe_position
from simplechrome_tk.pl.genes._gene_track import place_genes
from simplechrome_tk.tl.attribution._stored import has_neighbor_effects

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

    from simplechrome_tk.pl.contrast._gene_pair import GenePair

logger = logging.getLogger(__name__)

_OF, _AGAINST = "#009E73", "#CC79A7"
"""Colours of the signal in both conditions: bluish green and reddish purple of Okabe and Ito (2008)."""
_OUTLINE = "0.45"
"""Colour of the outline of the difference, so that bins without effect are seen as well."""
_GAP = 0.09
"""Room between the lanes of a mark, in inches."""
_PERCENTILE = 95
"""Percentile of the sizes of the effects from which a bin has the full colour: few bins have far larger effects."""

_NOT_ATTRIBUTED = "The change of this gene was not attributed: effects are not known."


class ContrastBrowserAxes(NamedTuple):
    """Axes of :func:`contrast_browser`.

    Attributes
    ----------
    of, against
        Axes of the signal in each condition, ``(n_marks, n_regions)``.
    difference
        Axes of the difference, of the same shape.
    genome
        Axes of the gene among its related genes; ``None`` where the gene was not attributed, or the model reads no
        related genes.
    """

    of: np.ndarray
    against: np.ndarray
    difference: np.ndarray
    genome: Axes | None


def contrast_browser(
    adata: ad.AnnData, gene: str, *, key: str = k.CONTRAST, layer: str | None = k.SIGNAL
) -> ContrastBrowserAxes:
    """Draw a gene's marks in both conditions, their difference, and what it adds to the predicted change.

    Each mark has three lanes, which are read from 5' to 3' of the gene: the signal in the condition ``of``, the signal
    in ``against`` on the same scale, and the difference, ``of`` minus ``against``, for which an inch stands for as much
    signal as above unless it would not fit. A bin of the difference is vermilion where it raises the predicted change
    and blue where it lowers it, the deeper the larger its effect. Effects describe the model. A bin of the body may be
    a hundred times as wide as one around the TSS, so that colours in different regions cannot be compared. The sums of
    the effects of each mark stand on the right. If a condition has several samples, their mean is drawn. Related genes
    are drawn as by :func:`simplechrome_tk.pl.browser`. The difference of a gene that was not attributed is grey.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.contrast`.
    gene
        Symbol or id of a gene of the contrast, with or without the name of its sample.
    key
        Name of the contrast.
    layer
        Tracks to draw, as for :func:`simplechrome_tk.get.region`: ``"signal"``, the signal before normalisation.
        ``None`` draws the normalised values, which the model compares.

    Returns
    -------
    ContrastBrowserAxes
        ``of``, ``against`` and ``difference``, arrays of Axes of shape ``(n_marks, n_regions)``, and ``genome``. The
        title names the gene, its predicted change with the 90 % interval, the measured change and the false discovery
        rate, as far as they are known.

    Raises
    ------
    ValueError
        When there is no contrast or no such layer, no gene has this name or several do, or the gene is not among those
        of the contrast.

    Examples
    --------
    >>> sct.pl.contrast_browser(both, "MS4A1").difference.shape  # doctest: +SKIP
    (5, 2)
    """
    pair, record = read_pair(adata, gene, key), read_contrast(adata, key)
    layout, signal = Layout.of(adata), values(adata, layer)
    tracks = np.stack([signal[rows].mean(axis=0, dtype=float) for rows in (pair.of, pair.against)])
    difference = tracks[0] - tracks[1]
    effects = values(adata, key)[pair.row]
    is_attributed = not np.isnan(effects).any()
    if not is_attributed:
        logger.info("%s was not attributed in the contrast %r: its difference is drawn in grey.", pair.name, key)
    has_track = is_attributed and has_neighbor_effects(adata, key)
    track = place_genes(adata, pair.row, key, to_scale=True) if has_track else None
    page = BrowserPage(len(layout.marks), len(layout.regions), n_lanes=3, track=track, n_lines=3, gap=_GAP)
    lanes = [page.add_panels(lane) for lane in range(3)]
    # Bins without any difference have no effect, and would make the scale of a gene with few peaks too short.
    norm = effect_norm(effects[effects != 0], percentile=_PERCENTILE)
    for column, region in enumerate(layout.regions):
        of_region = [axes[:, column] for axes in lanes]
        _draw_region(adata, region, of_region, layout.view(tracks, region), left=column == 0)
        heights, colors = (layout.view(row[None], region)[0] for row in (difference, effects))
        for i, ax in enumerate(of_region[2]):
            _draw_difference(ax, heights[i], colors[i] if is_attributed else None, bounds(adata, region), norm)
    for i, mark in enumerate(layout.marks):
        page.write_mark(i, mark)
        of_mark = layout.mark == mark
        set_scale(np.append(lanes[0][i], lanes[1][i]), tracks[:, of_mark])
        _scale_difference(lanes[2][i], tracks[:, of_mark], difference[of_mark])
    if is_attributed:
        page.write_sums(np.array([effects[layout.mark == mark].sum(dtype=float) for mark in layout.marks]))
    sums = describe_sums(adata, adata.obs_names[pair.row], key) if is_attributed else _NOT_ATTRIBUTED
    title = [_describe_gene(adata, pair), describe_change(adata, pair.row, key), sums]
    page.write_title("\n".join(title), _explain_colors(adata, record, layer, norm if is_attributed else None))
    genome = None if track is None else page.add_gene_track(track, str(adata.obs[k.CHROM].iloc[pair.row]))
    of, against, below = lanes
    return ContrastBrowserAxes(of, against, below, genome)


def describe_change(adata: ad.AnnData, row: int, key: str) -> str:
    """Return the predicted change of a gene in words, with all that is known of it."""
    record = read_contrast(adata, key)
    known = {name: float(adata.obs[f"{key}_{name}"].iloc[row]) for name in ("change", "low", "high", "measured", "fdr")}
    text = f"{record['of']} against {record['against']}: predicted {record['unit']} {signed(known['change'])}"
    if not np.isnan(known["low"]):
        text += f" (90 % interval {signed(known['low'])} to {signed(known['high'])})"
    if not np.isnan(known["measured"]):
        text += f", measured {signed(known['measured'])}"
    if not np.isnan(known["fdr"]):
        text += f", false discovery rate {known['fdr']:.2g}"
    return text


def _describe_gene(adata: ad.AnnData, pair: GenePair) -> str:
    return "  ·  ".join([pair.name, *describe_position(adata.obs.iloc[pair.row])])


def _draw_region(adata: ad.AnnData, region: str, lanes: list[np.ndarray], tracks: np.ndarray, *, left: bool) -> None:
    """Draw the signal of all marks along a region, and everything else but the difference."""
    edges, axis = bounds(adata, region), along(adata, region)
    for axes, of_condition, color in zip(lanes, tracks, (_OF, _AGAINST), strict=False):
        for ax, heights in zip(axes, of_condition, strict=True):
            draw_steps(ax, heights, edges, color)
    lowest = lanes[-1][-1]
    for ax in np.concatenate(lanes):
        style_axes(ax, edges, marker=axis.marker is not None, left=left, bottom=ax is lowest)
    lowest.set_xlabel(literal(axis.label), fontsize="small")


def _draw_difference(
    ax: Axes, heights: np.ndarray, effects: np.ndarray | None, edges: np.ndarray, norm: Normalize
) -> None:
    """Draw a bar for each bin, in the colour of its effect, or grey where effects are not known."""
    if effects is None:
        draw_steps(ax, heights, edges, GREY)
        return
    left, right, zero = edges[:-1], edges[1:], np.zeros_like(heights)
    corners = np.stack([left, zero, left, heights, right, heights, right, zero], axis=1).reshape(-1, 4, 2)
    # Neighbouring bars touch: without smoothing of their edges no white line shows between them.
    bars = PolyCollection(list(corners), array=effects, cmap=EFFECTS, norm=norm, linewidths=0, antialiased=False)
    ax.add_collection(bars, autolim=False)
    ax.add_artist(StepPatch(heights, edges, baseline=0, fill=False, edgecolor=_OUTLINE, linewidth=0.4))


def _scale_difference(axes: np.ndarray, tracks: np.ndarray, difference: np.ndarray) -> None:
    """Give panels a scale of at least the length of that of the signal, so that small differences look small."""
    length = max(0.0, tracks.max()) - min(0.0, tracks.min())
    lowest, highest = min(0.0, difference.min()), max(0.0, difference.max())
    set_scale(axes, np.array([lowest, max(highest, lowest + length)]))


def _explain_colors(
    adata: ad.AnnData, record: Mapping[str, object], layer: str | None, norm: Normalize | None
) -> list[Artist]:
    """Return the entries of the legend; ``norm`` is the scale of the effects, ``None`` where they are not known."""
    name = measure(adata, layer)
    handles = [
        Patch(color=_OF, label=literal(f"{name} in {record['of']}")),
        Patch(color=_AGAINST, label=literal(f"in {record['against']}")),
    ]
    if norm is None:
        return [*handles, Patch(color=GREY, label="difference")]
    full = signed(float(norm.vmax or 0)).removeprefix("+")
    return [
        *handles,
        Patch(color=UP, label="difference: raises expression"),
        Patch(color=DOWN, label=f"lowers it (full colour: {full} a bin)"),
    ]

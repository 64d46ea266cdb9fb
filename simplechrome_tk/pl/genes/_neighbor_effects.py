"""Arcs from neighbouring genes to the gene whose prediction they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects
from matplotlib.cm import ScalarMappable

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_row
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import EFFECTS, distance, effect_norm, literal, signed
from simplechrome_tk.pl.genes._gene_track import (
    assign_rows,
    describe_omissions,
    draw_gene_track,
    find_limits,
    measure_names,
    place_genes,
    select_strongest,
    transform_gene,
)
from simplechrome_tk.tl.attribution._stored import read_record

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

_LINEAR = 5_000.0
"""Distance from the gene, in bp, within which the axis is to scale; it is logarithmic further out."""
_WIDTH = 8.5
"""Width of the axis of a new figure, in inches."""
_ROW, _LINES, _ARCS = 0.16, 0.35, 1.8
"""Heights of a row of genes, of the lines to the names and of the arcs, in inches."""
_FONT = 10
"""Size of the text above the arcs, in points."""
_TICKS_APART = 0.5
"""Least distance of two ticks, in inches."""
_TICKS = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)


def neighbor_effects(adata: ad.AnnData, gene: str, *, key: str = k.ATTRIBUTION, ax: Axes | None = None) -> Axes:
    """Draw an arc from the TSS of each neighbour to that of the gene, thick and dark where the effect is strong.

    The gene is read from left to right, whatever its strand: upstream is left, and an arrow to the left is a gene on
    the other strand. Distances are to scale within about 5 kb and logarithmic beyond, so that a neighbour 1 kb away and
    one 1 Mb away can both be seen; :func:`browser` shows them to scale.

    Parameters
    ----------
    adata
        As for :func:`simplechrome_tk.get.neighbor_effects`, whose table is drawn.
    gene
        Name in ``obs_names``, or a symbol that names one row.
    key
        Name of the attributions.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        Arcs over the genes. Vermilion raises the prediction, blue lowers it. Distance and effect stand beside each
        name. If there is no room for all neighbours, the strongest are drawn; the title counts the others, and those on
        other chromosomes.

    Raises
    ------
    ValueError
        When no gene has this name or several do, or as :func:`simplechrome_tk.get.neighbor_effects`.
    """
    row = gene_row(adata, gene)
    unit = read_record(adata, key)["unit"]
    # The axis is logarithmic, so that genes anywhere on the chromosome have room.
    track = place_genes(adata, row, key, to_scale=False)
    own = track.genes[0]
    is_minus = own.direction < 0
    norm = effect_norm(np.array([one.effect for one in track.genes]))
    label = f"effect of related gene ({unit})" if len(track.genes) > 1 else ""
    width = _WIDTH
    if ax is not None:
        # The colour bar takes room from the given axes: what is left is measured after it.
        _add_colorbar(ax, norm, label)
        width = ax.get_window_extent().width / ax.figure.dpi
    genes = [
        transform_gene(one, lambda bp: _transform((bp - own.tss) * (-1 if is_minus else 1)), flip=is_minus)
        for one in select_strongest(track.genes, width)
    ]
    names = [own.symbol, *(f"{one.symbol} ({distance(one.distance_bp)}) {signed(one.effect)}" for one in genes[1:])]
    low, high = find_limits(genes)
    n_rows = max(assign_rows(genes, (high - low) / width)) + 1
    drawn, written = _ARCS + _ROW * n_rows + _LINES, measure_names(names)
    # The vertical axis is in inches of a new figure. On given axes the same drawing is stretched to their height, but
    # not the names.
    stretch = 1.0
    if ax is None:
        _, ax = subplots(figsize=(_WIDTH + 1.3, drawn + written + 1.1), layout="constrained")
        _add_colorbar(ax, norm, label)
    else:
        height = ax.get_window_extent().height / ax.figure.dpi
        stretch = drawn / max(height - written, 0.3 * height)
    ax.set_xlim(low, high)
    # Arcs to distant neighbours are higher, so that they do not cross those to near ones.
    furthest = max((abs(one.tss) for one in genes[1:]), default=1.0) or 1.0
    for one in genes[1:]:
        _draw_arc(ax, one.tss, 0.95 * _ARCS * abs(one.tss) / furthest, norm, one.effect)
    names_top = draw_gene_track(ax, genes, names, width=width, top=-0.1, row_height=_ROW, line_height=_LINES)
    ax.set_ylim(names_top - stretch * written, _ARCS)
    _style_axes(ax, (high - low) / width, own.symbol)
    title = own.symbol
    if len(track.table):
        title += f": {len(track.table)} related genes, {signed(float(track.table['effect'].sum()))} in all"
    lines = [title, *describe_omissions(track, width, font=_FONT)]
    ax.set_title(literal("\n".join(lines)), fontsize=_FONT, loc="left")
    return ax


def _transform(bp: float) -> float:
    """Return where a distance is drawn."""
    return float(np.arcsinh(bp / _LINEAR))


def _draw_arc(ax: Axes, start: float, height: float, norm: Normalize, effect: float) -> None:
    """Draw half an ellipse from a neighbour to the gene, at 0; strong effects are thicker and lie over weak ones."""
    angle = np.linspace(0, np.pi, 60)
    x, y = start / 2 * (1 + np.cos(angle)), height * np.sin(angle)
    strength = abs(2 * float(norm(effect)) - 1)
    width = 1.0 + 4.0 * strength
    ax.plot(
        x,
        y,
        color=EFFECTS(norm(effect)),
        linewidth=width,
        solid_capstyle="butt",
        path_effects=[patheffects.withStroke(linewidth=width + 1, foreground="0.6")],
        zorder=2 + strength,
    )


def _add_colorbar(ax: Axes, norm: Normalize, label: str) -> None:
    """Explain the colours, unless there are no neighbours and the label is empty."""
    if label:
        ax.figure.colorbar(ScalarMappable(norm, EFFECTS), ax=ax, label=literal(label), shrink=0.7, pad=0.02, aspect=25)


def _style_axes(ax: Axes, inch: float, symbol: str) -> None:
    """Draw ticks and lines; ``inch`` is the length of one inch on the axis."""
    low, high = ax.get_xlim()
    # From 1 kb to 100 Mb on both sides, as far as there is room between two ticks.
    ticks = [0.0]
    for bp in _TICKS:
        if _transform(bp) - _transform(ticks[-1]) > _TICKS_APART * inch:
            ticks = [-bp, *ticks, bp]
    ticks = [bp for bp in ticks if low <= _transform(bp) <= high]
    ax.set_xticks([_transform(bp) for bp in ticks], [distance(bp) if bp else "0" for bp in ticks])
    ax.set_xlabel(literal(f"distance from the TSS of {symbol}\n← upstream · downstream →, logarithmic beyond 5 kb"))
    ax.vlines(ax.get_xticks(), 0, _ARCS, color="0.93", linewidth=0.8, zorder=0)
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=1)
    ax.set_yticks([])
    ax.spines[["left", "right", "top"]].set_visible(False)

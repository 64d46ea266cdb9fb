"""Which neighbouring genes move the prediction of a gene, and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects
from matplotlib.cm import ScalarMappable

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import gene_row
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import EFFECTS, effect_norm, literal, signed
from simplechrome_tk.pl.genes._lane import draw_lane, lane, limits, mapped, names_height, remarks, strongest, tiers
from simplechrome_tk.tl.attribution._stored import record

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

_LINEAR = 5_000.0  # bp around the gene that are drawn to scale; further out, logarithmic
_WIDTH = 8.5  # inches
_TIER, _GAP, _ARCS = 0.16, 0.35, 1.8  # inches
_TICKS_APART = 0.5  # inches
_TICKS = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)


def neighbor_effects(adata: ad.AnnData, gene: str, *, key: str = k.ATTRIBUTION, ax: Axes | None = None) -> Axes:
    """Draw an arc from each neighbour's TSS to the gene's, thick and dark where its effect is strong.

    The gene reads from left to right, whatever its strand: upstream is left, and an arrow to the left is a gene on the
    other strand. Distances are to scale within 5 kb or so and logarithmic beyond, so that a neighbour 1 kb away and one
    1 Mb away can both be seen; :func:`browser` shows them to scale.

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
        Arcs over the genes. Vermilion raises the prediction, blue lowers it. Names say distance and effect. Where
        there is no room for all neighbours, the strongest are drawn; the title counts the others, and those on other
        chromosomes.

    Raises
    ------
    ValueError
        When no gene has this name or several do, or as :func:`simplechrome_tk.get.neighbor_effects`.
    """
    row = gene_row(adata, gene)
    unit = record(adata, key)["unit"]
    shown = lane(adata, row, key)
    own = shown.genes[0]
    minus = own.direction < 0
    norm = effect_norm(np.array([one.effect for one in shown.genes]))
    label = f"effect of neighbour ({unit})" if len(shown.genes) > 1 else ""
    width = _WIDTH
    if ax is not None:
        _colorbar(ax, norm, label)
        width = ax.get_window_extent().width / ax.figure.dpi
    genes = [
        mapped(one, lambda bp: _place((bp - own.tss) * (-1 if minus else 1)), flip=minus)
        for one in strongest(shown.genes, width)
    ]
    names = [own.symbol, *(f"{one.symbol} ({_distance(one.distance_bp)}) {signed(one.effect)}" for one in genes[1:])]
    low, high = limits(genes)
    levels = max(tiers(genes, (high - low) / width)) + 1
    drawn, written = _ARCS + _TIER * levels + _GAP, names_height(names)
    stretch = 1.0
    if ax is None:
        _, ax = subplots(figsize=(_WIDTH + 1.3, drawn + written + 1.1), layout="constrained")
        _colorbar(ax, norm, label)
    else:
        height = ax.get_window_extent().height / ax.figure.dpi
        stretch = drawn / max(height - written, 0.3 * height)
    ax.set_xlim(low, high)
    furthest = max((abs(one.tss) for one in genes[1:]), default=1.0) or 1.0
    for one in genes[1:]:
        _arc(ax, one.tss, 0.95 * _ARCS * abs(one.tss) / furthest, norm, one.effect)
    floor = draw_lane(ax, genes, names, width=width, top=-0.1, tier=_TIER, gap=_GAP)
    ax.set_ylim(floor - stretch * written, _ARCS)
    _dress(ax, (high - low) / width, own.symbol)
    total = f": {len(shown.table)} neighbours, {signed(float(shown.table['effect'].sum()))} in all"
    title = [own.symbol + (total if len(shown.table) else ""), *remarks(shown, width)]
    ax.set_title(literal("\n".join(title)), fontsize="medium", loc="left")
    return ax


def _place(bp: float) -> float:
    """Where a distance is drawn."""
    return float(np.arcsinh(bp / _LINEAR))


def _arc(ax: Axes, start: float, height: float, norm: Normalize, effect: float) -> None:
    """Draw half an ellipse from a neighbour to the gene, at 0."""
    angle = np.linspace(0, np.pi, 60)
    x, y = start / 2 * (1 + np.cos(angle)), height * np.sin(angle)
    thick = 1.0 + 4.0 * abs(2 * float(norm(effect)) - 1)
    outline = [patheffects.withStroke(linewidth=thick + 1, foreground="0.6")]
    ax.plot(
        x,
        y,
        color=EFFECTS(norm(effect)),
        linewidth=thick,
        solid_capstyle="butt",
        path_effects=outline,
        zorder=2 + abs(2 * float(norm(effect)) - 1),
    )


def _colorbar(ax: Axes, norm: Normalize, label: str) -> None:
    """Explain the colours, where there is something to explain."""
    if label:
        ax.figure.colorbar(ScalarMappable(norm, EFFECTS), ax=ax, label=literal(label), shrink=0.7, pad=0.02, aspect=25)


def _dress(ax: Axes, inch: float, symbol: str) -> None:
    """Draw all but arcs and genes; ``inch`` is the length of one on the axis."""
    low, high = ax.get_xlim()
    ticks = [0.0]
    for bp in _TICKS:
        if np.arcsinh(bp / _LINEAR) - np.arcsinh(ticks[-1] / _LINEAR) > _TICKS_APART * inch:
            ticks = [-bp, *ticks, bp]
    ticks = [bp for bp in ticks if low <= np.arcsinh(bp / _LINEAR) <= high]
    ax.set_xticks(np.arcsinh(np.array(ticks) / _LINEAR), ["0" if bp == 0 else _distance(bp) for bp in ticks])
    where = f"distance from the TSS of {symbol}"
    ax.set_xlabel(literal(f"{where}\n← upstream · downstream →, logarithmic beyond 5 kb"))
    ax.vlines(ax.get_xticks(), 0, _ARCS, color="0.93", linewidth=0.8, zorder=0)
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=1)
    ax.set_yticks([])
    ax.spines[["left", "right", "top"]].set_visible(False)


def _distance(bp: float) -> str:
    """Write a signed distance in bp, kb or Mb."""
    size = abs(bp)
    scale, name = (1.0, "bp") if size < 999.5 else (1e3, "kb") if size < 999_500 else (1e6, "Mb")
    digits = 1 if scale > 1 and size / scale < 9.95 else 0
    text = f"{size / scale:.{digits}f}".removesuffix(".0")
    return f"{'−' if bp < 0 else '+' if bp > 0 else ''}{text} {name}"

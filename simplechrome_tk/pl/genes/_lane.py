"""Genes along the genome: bodies to scale with strand arrows, names that keep out of each other's way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy.optimize import isotonic_regression

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import positions
from simplechrome_tk.core.require import cell_types, symbols
from simplechrome_tk.get import neighbor_effects
from simplechrome_tk.pl._style import EFFECTS, effect_color, effect_norm, literal, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

_INK = "0.15"
_EDGE = "0.35"
_LEADER = "0.7"
_ROTATION = 60
_FONT = 7.5  # points
_LABEL_EVERY = 0.155  # inches that a name needs along the axis
_ARROW = 0.075  # inches
_APART = 0.03  # inches between bodies in one tier


class LaneGene(NamedTuple):
    """A gene as drawn, in the coordinates of the axis; ``effect`` is NaN for the gene whose prediction is explained."""

    symbol: str
    tss: float
    left: float
    right: float
    direction: int
    """1 when it is read to the right, -1 to the left, 0 where the strand is unknown."""
    effect: float
    distance_bp: float


class Lane(NamedTuple):
    """The gene (first) and its neighbours on the same chromosome; ``table`` is that of ``get.neighbor_effects``."""

    genes: list[LaneGene]
    table: pd.DataFrame
    elsewhere: pd.DataFrame
    """Neighbours on other chromosomes, which no lane can show."""


def lane(adata: ad.AnnData, row: int, key: str) -> Lane:
    """Place a gene and its neighbours, in bp along the genome."""
    table = neighbor_effects(adata, key=key, genes=adata.obs_names[row])
    far = table["distance_bp"].isna()
    near = table[~far]
    where = positions(adata)
    index = [row, *adata.obs_names.get_indexer(near["neighbor"])]
    effect = np.append(np.nan, near["effect"])
    distance = np.append(0.0, near["distance_bp"])
    known = (adata.obs[k.STRAND] != k.UNKNOWN_STRAND).to_numpy()
    bodies = {k.START, k.END} <= set(adata.obs)
    start, end = (adata.obs[name if bodies else k.TSS].to_numpy(float) for name in (k.START, k.END))
    start, end = (np.where(np.isnan(edge), where.tss, edge) for edge in (start, end))
    named = symbols(adata)[index]
    cell = f":{cell_types(adata).iloc[row]}"  # behind the ids of genes without a symbol, where cell types are stacked
    genes = [
        LaneGene(
            str(named[n]).removesuffix(cell),
            where.tss[i],
            start[i],
            end[i],
            int(where.sign[i]) * int(known[i]),
            effect[n],
            distance[n],
        )
        for n, i in enumerate(index)
    ]
    return Lane(genes, table, table[far])


def mapped(gene: LaneGene, place: Callable[[float], float], *, flip: bool) -> LaneGene:
    """Move a gene to other coordinates, ``flip`` where these run against the genome."""
    left, right = sorted((place(gene.left), place(gene.right)))
    direction = -gene.direction if flip else gene.direction
    return gene._replace(tss=place(gene.tss), left=left, right=right, direction=direction)


def limits(genes: Sequence[LaneGene], margin: float = 0.03) -> tuple[float, float]:
    """Return the ends of an axis that shows all bodies; a lone gene fills a third of it."""
    left, right = min(min(gene.left, gene.tss) for gene in genes), max(max(gene.right, gene.tss) for gene in genes)
    pad = (right - left) * (margin if len(genes) > 1 else 1.0) or 1.0
    return left - pad, right + pad


def tiers(genes: Sequence[LaneGene], inch: float) -> list[int]:
    """Tier of each gene, so that no two bodies with their arrows touch; ``inch`` is the length of one on the axis."""
    taken: list[list[tuple[float, float]]] = []
    places = [0] * len(genes)
    for i in [0, *sorted(range(1, len(genes)), key=lambda i: genes[i].left)]:
        room = (_ARROW + _APART) * inch
        left, right = min(genes[i].left, genes[i].tss) - room, max(genes[i].right, genes[i].tss) + room
        free = [all(right <= start or left >= stop for start, stop in tier) for tier in taken]
        places[i] = free.index(True) if True in free else len(taken)
        if places[i] == len(taken):
            taken.append([])
        taken[places[i]].append((left, right))
    return places


def spread(wanted: np.ndarray, low: float, high: float, apart: float) -> np.ndarray:
    """Positions nearest to ``wanted`` (ascending), within ``low`` and ``high`` and ``apart`` from each other."""
    steps = apart * np.arange(len(wanted))
    fitted = isotonic_regression(wanted - steps).x
    return np.clip(fitted, low, max(low, high - steps[-1])) + steps


def strongest(genes: Sequence[LaneGene], width: float) -> list[LaneGene]:
    """Return the gene itself and as many of its strongest neighbours as have room for their names on some inches."""
    room = max(int(width / _LABEL_EVERY), 1)
    return [genes[0], *sorted(genes[1:], key=lambda gene: -abs(gene.effect))[: room - 1]]


def names_height(names: Sequence[str]) -> float:
    """Height that the names need, in inches."""
    return 0.1 + 0.058 * max(map(len, names))


def draw_lane(
    ax: Axes,
    genes: Sequence[LaneGene],
    names: Sequence[str],
    *,
    width: float,
    top: float,
    tier: float,
    gap: float,
) -> float:
    """Draw bodies in tiers, and beneath them the names, each at the end of a line from its TSS.

    Parameters
    ----------
    ax
        Axes whose limits along the genome are set.
    genes, names
        The gene, then its neighbours; what to write for each.
    width
        Width of ``ax`` in inches.
    top, tier, gap
        Where the first tier lies, and heights of a tier and of the lines to the names, in the units of the other axis.

    Returns
    -------
    float
        Where the names begin.
    """
    low, high = ax.get_xlim()
    inch = (high - low) / width
    where = tiers(genes, inch)
    norm = effect_norm(np.array([gene.effect for gene in genes]))
    bottom = top - tier * (max(where) + 1)
    order = sorted(range(len(genes)), key=lambda i: genes[i].tss)
    at = spread(np.array([genes[i].tss for i in order]), low, high, _LABEL_EVERY * inch)
    for x, i in zip(at, order, strict=True):
        gene = genes[i]
        leader = Line2D(
            [gene.tss, gene.tss, x, x],
            [top - tier * (where[i] + 0.5), bottom - 0.1 * gap, bottom - 0.8 * gap, bottom - gap],
            color=_INK if i == 0 else _LEADER,
            linewidth=0.7,
            solid_joinstyle="round",
            zorder=1,
        )
        ax.add_artist(leader)
        ax.text(
            x,
            bottom - 1.1 * gap,
            literal(names[i]),
            rotation=_ROTATION,
            rotation_mode="anchor",
            ha="right",
            va="center",
            fontsize=_FONT,
            fontweight="bold" if i == 0 else "normal",
            color=_INK if i == 0 else effect_color(gene.effect),
        )
    for gene, place in zip(genes, where, strict=True):
        color = _INK if np.isnan(gene.effect) else EFFECTS(norm(gene.effect))
        _body(ax, gene, top - tier * (place + 0.5), 0.5 * tier, color)
    return bottom - gap


def _body(ax: Axes, gene: LaneGene, middle: float, height: float, color: ColorType) -> None:
    """Draw the body as a bar, joined to a TSS outside it, with an arrow head at the gene's end."""
    reach = [min(gene.left, gene.tss), max(gene.right, gene.tss)]
    tip = {1: gene.right, -1: gene.left, 0: gene.tss}[gene.direction]
    marker = {1: ">", -1: "<", 0: "o"}[gene.direction]
    corner, width = (gene.left, middle - height / 2), gene.right - gene.left
    head = Line2D([tip], [middle], marker=marker, markersize=72 * _ARROW, color=color, linewidth=0, zorder=4)
    head.set(markeredgecolor=_EDGE, markeredgewidth=0.6)
    ax.add_artist(Line2D(reach, [middle, middle], color=_EDGE, linewidth=0.8, zorder=2))
    ax.add_artist(Rectangle(corner, width, height, facecolor=color, edgecolor=_EDGE, linewidth=0.6, zorder=3))
    ax.add_artist(head)


def remarks(shown: Lane, width: float) -> list[str]:
    """Say what the lane on ``width`` inches leaves out."""
    lines = []
    if not len(shown.table):
        lines.append("no neighbours in the graph")
    if len(shown.elsewhere):
        total = signed(float(shown.elsewhere["effect"].sum()))
        lines.append(f"not shown: {len(shown.elsewhere)} neighbours on other chromosomes, {total} in all")
    drawn = strongest(shown.genes, width)
    if len(drawn) < len(shown.genes):
        rest = sum(gene.effect for gene in shown.genes[1:]) - sum(gene.effect for gene in drawn[1:])
        of = f"{len(drawn) - 1} strongest of {len(shown.genes) - 1} neighbours"
        lines.append(f"drawn: the {of}; the others {signed(rest)} in all")
    return lines

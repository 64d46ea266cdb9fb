"""The gene track: genes to scale along the genome, with strand arrows and names that do not overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from scipy.optimize import isotonic_regression

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.graph import is_by_position, positions
from simplechrome_tk.core.require import cell_types, symbols
from simplechrome_tk.get import neighbor_effects
from simplechrome_tk.pl._style import EFFECTS, effect_color, effect_norm, literal, signed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType

_OWN = "0.15"
"""Colour of the gene itself and of its name."""
_EDGE = "0.35"
_LINE = "0.7"
"""Colour of the lines from the neighbours to their names."""
_ROTATION = 60
"""Slope of the names, in degrees."""
_FONT = 7.5
"""Size of the names, in points."""
_NAME_WIDTH = 0.155
"""Inches that a slanted name needs along the axis."""
_ARROW = 0.075
"""Width of an arrow head, in inches."""
_APART = 0.03
"""Inches between the bodies of two genes in one row."""
_LETTER = 0.65
"""Mean width of a letter, as a part of the size of the text."""


_STRONGEST = "the strongest: "


class TrackGene(NamedTuple):
    """A gene as it is drawn, in the coordinates of the axis.

    Attributes
    ----------
    symbol
        Its name.
    tss, left, right
        Positions of its TSS and of the ends of its body.
    direction
        1 if it is read to the right, -1 to the left, 0 if the strand is unknown.
    effect
        Effect on the gene whose prediction is explained; NaN for that gene itself.
    distance_bp
        Signed distance from the explained gene along its strand.
    """

    symbol: str
    tss: float
    left: float
    right: float
    direction: int
    effect: float
    distance_bp: float


class GeneTrack(NamedTuple):
    """A gene and its neighbours.

    Attributes
    ----------
    genes
        The gene itself, then those of its neighbours that are drawn.
    table
        The table of :func:`simplechrome_tk.get.neighbor_effects`.
    elsewhere
        Its rows for neighbours that are not drawn: those on other chromosomes, and those too far away.
    """

    genes: list[TrackGene]
    table: pd.DataFrame
    elsewhere: pd.DataFrame


def place_genes(adata: ad.AnnData, row: int, key: str, *, to_scale: bool) -> GeneTrack:
    """Place a gene and its neighbours on the same chromosome, in bp along the genome.

    Genes that are related by expression or function lie anywhere. ``to_scale`` leaves those out that would stretch a
    map to scale over the chromosome, and keeps neighbours by position and what lies among them.
    """
    table = neighbor_effects(adata, key=key, genes=adata.obs_names[row])
    is_drawn = table["distance_bp"].notna()
    if to_scale:
        is_drawn &= _lie_among_neighbors(adata, table)
    near = table[is_drawn]
    position = positions(adata)
    rows = [row, *adata.obs_names.get_indexer(near["neighbor"])]
    effect = np.append(np.nan, near["effect"])
    distance = np.append(0.0, near["distance_bp"])
    is_stranded = (adata.obs[k.STRAND] != k.UNKNOWN_STRAND).to_numpy()
    # A gene whose body is unknown is drawn at its TSS.
    has_bodies = {k.START, k.END} <= set(adata.obs)
    start, end = (adata.obs[name if has_bodies else k.TSS].to_numpy(float) for name in (k.START, k.END))
    start, end = (np.where(np.isnan(edge), position.tss, edge) for edge in (start, end))
    # Where cell types are stacked, the id of a gene without a symbol ends in its cell type, which all genes here share.
    names = symbols(adata)[rows]
    suffix = f":{cell_types(adata).iloc[row]}"
    genes = [
        TrackGene(
            str(names[i]).removesuffix(suffix),
            position.tss[gene],
            start[gene],
            end[gene],
            int(position.sign[gene]) * int(is_stranded[gene]),
            effect[i],
            distance[i],
        )
        for i, gene in enumerate(rows)
    ]
    return GeneTrack(genes, table, table[~is_drawn])


def _lie_among_neighbors(adata: ad.AnnData, table: pd.DataFrame) -> pd.Series:
    """Whether each related gene lies within the stretch of those that a graph by position links, and the gene."""
    linking = table["graph"].str.split(", ", regex=False)
    by_position = {name for name in linking.explode().unique() if is_by_position(adata, name)}
    reach = table.loc[linking.map(lambda names: not by_position.isdisjoint(names)).astype(bool), "distance_bp"]
    return table["distance_bp"].between(min(0.0, reach.min()), max(0.0, reach.max()))


def transform_gene(gene: TrackGene, transform: Callable[[float], float], *, flip: bool) -> TrackGene:
    """Return a gene in other coordinates; ``flip`` if these run against the genome."""
    left, right = sorted((transform(gene.left), transform(gene.right)))
    direction = -gene.direction if flip else gene.direction
    return gene._replace(tss=transform(gene.tss), left=left, right=right, direction=direction)


def find_limits(genes: Sequence[TrackGene], margin: float = 0.03) -> tuple[float, float]:
    """Return the ends of an axis that shows all bodies; a single gene fills a third of it."""
    left, right = min(min(gene.left, gene.tss) for gene in genes), max(max(gene.right, gene.tss) for gene in genes)
    pad = (right - left) * (margin if len(genes) > 1 else 1.0) or 1.0
    return left - pad, right + pad


def assign_rows(genes: Sequence[TrackGene], inch: float) -> list[int]:
    """Return the row of each gene, 0 for the upper one, so that no two bodies in a row touch.

    ``inch`` is the length of one inch in the coordinates of the axis.
    """
    taken: list[list[tuple[float, float]]] = []
    rows = [0] * len(genes)
    margin = (_ARROW + _APART) * inch
    # The gene itself comes first, so that it is always in the upper row.
    for i in [0, *sorted(range(1, len(genes)), key=lambda i: genes[i].left)]:
        left, right = min(genes[i].left, genes[i].tss) - margin, max(genes[i].right, genes[i].tss) + margin
        is_free = [all(right <= start or left >= stop for start, stop in row) for row in taken]
        if True not in is_free:
            taken.append([])
            is_free.append(True)
        rows[i] = is_free.index(True)
        taken[rows[i]].append((left, right))
    return rows


def spread_names(wanted: np.ndarray, low: float, high: float, apart: float) -> np.ndarray:
    """Return the positions nearest to ``wanted`` (ascending) that are within ``low`` and ``high`` and ``apart``."""
    # Less the room that the names before need, the positions have to ascend: the closest such is isotonic regression.
    steps = apart * np.arange(len(wanted))
    fitted = isotonic_regression(wanted - steps).x
    return np.clip(fitted, low, max(low, high - steps[-1])) + steps


def select_strongest(genes: Sequence[TrackGene], width: float) -> list[TrackGene]:
    """Return the gene itself and as many of its strongest neighbours as have room for names on ``width`` inches."""
    n_names = max(int(width / _NAME_WIDTH), 1)
    return [genes[0], *sorted(genes[1:], key=lambda gene: -abs(gene.effect))[: n_names - 1]]


def measure_names(names: Sequence[str]) -> float:
    """Return the height that the names need, in inches."""
    return 0.1 + 0.058 * max(map(len, names))


def draw_gene_track(
    ax: Axes,
    genes: Sequence[TrackGene],
    names: Sequence[str],
    *,
    width: float,
    top: float,
    row_height: float,
    line_height: float,
) -> float:
    """Draw the bodies of genes in rows, and below them the names, each at the end of a line from its TSS.

    Parameters
    ----------
    ax
        Axes whose limits along the genome are set.
    genes, names
        The gene, then its neighbours; the text for each.
    width
        Width of ``ax`` in inches.
    top, row_height, line_height
        Top of the first row, and heights of a row and of the lines to the names, in the units of the vertical axis.

    Returns
    -------
    float
        Where the names begin.
    """
    low, high = ax.get_xlim()
    inch = (high - low) / width
    rows = assign_rows(genes, inch)
    norm = effect_norm(np.array([gene.effect for gene in genes]))
    bottom = top - row_height * (max(rows) + 1)
    order = sorted(range(len(genes)), key=lambda i: genes[i].tss)
    name_positions = spread_names(np.array([genes[i].tss for i in order]), low, high, _NAME_WIDTH * inch)
    for x, i in zip(name_positions, order, strict=True):
        middle = top - row_height * (rows[i] + 0.5)
        color = _OWN if i == 0 else effect_color(genes[i].effect)
        _draw_name(ax, x, genes[i].tss, middle, bottom, line_height, names[i], color=color, is_own=i == 0)
    for gene, row in zip(genes, rows, strict=True):
        fill = _OWN if np.isnan(gene.effect) else EFFECTS(norm(gene.effect))
        _draw_body(ax, gene, top - row_height * (row + 0.5), 0.5 * row_height, fill)
    return bottom - line_height


def _draw_name(
    ax: Axes,
    x: float,
    tss: float,
    middle: float,
    bottom: float,
    line_height: float,
    name: str,
    *,
    color: str,
    is_own: bool,
) -> None:
    """Write a name below the rows, which end at ``bottom``, and draw a line to it from the TSS of its gene."""
    line = Line2D(
        [tss, tss, x, x],
        [middle, bottom - 0.1 * line_height, bottom - 0.8 * line_height, bottom - line_height],
        color=_OWN if is_own else _LINE,
        linewidth=0.7,
        solid_joinstyle="round",
        zorder=1,
    )
    ax.add_artist(line)
    ax.text(
        x,
        bottom - 1.1 * line_height,
        literal(name),
        rotation=_ROTATION,
        rotation_mode="anchor",
        ha="right",
        va="center",
        fontsize=_FONT,
        fontweight="bold" if is_own else "normal",
        color=color,
    )


def _draw_body(ax: Axes, gene: TrackGene, middle: float, height: float, color: ColorType) -> None:
    """Draw the body as a bar, joined to a TSS outside it, with an arrow head at the gene's end."""
    # A TSS may lie outside the body, for example of another transcript.
    reach = [min(gene.left, gene.tss), max(gene.right, gene.tss)]
    tip = {1: gene.right, -1: gene.left, 0: gene.tss}[gene.direction]
    marker = {1: ">", -1: "<", 0: "o"}[gene.direction]
    corner, width = (gene.left, middle - height / 2), gene.right - gene.left
    head = Line2D([tip], [middle], marker=marker, markersize=72 * _ARROW, color=color, linewidth=0, zorder=4)
    head.set(markeredgecolor=_EDGE, markeredgewidth=0.6)
    ax.add_artist(Line2D(reach, [middle, middle], color=_EDGE, linewidth=0.8, zorder=2))
    ax.add_artist(Rectangle(corner, width, height, facecolor=color, edgecolor=_EDGE, linewidth=0.6, zorder=3))
    ax.add_artist(head)


def describe_omissions(track: GeneTrack, width: float, *, font: float) -> list[str]:
    """Return lines of text that say which related genes a track on ``width`` inches does not show.

    ``font`` is the size of the text in points, which limits how many genes are named.
    """
    lines = []
    if not len(track.table):
        lines.append("no related genes in the graph")
    if len(track.elsewhere):
        total = signed(float(track.elsewhere["effect"].sum()))
        n_far = int(track.elsewhere["distance_bp"].notna().sum())
        n_elsewhere = len(track.elsewhere) - n_far
        # Of genes on this chromosome, those are left out that would make the map too long to be read.
        places = [f"{n_elsewhere} related genes on other chromosomes"] if n_elsewhere else []
        if n_far:
            places.append(
                f"{n_far} on this chromosome, further away" if places else f"{n_far} related genes further away"
            )
        lines.append(f"not drawn: {' and '.join(places)}, {total} in all")
        lines.append(_name_strongest(track.elsewhere, n_letters=int(72 * width / (_LETTER * font))))
    # The counts and the sum let a reader see whether something important is missing.
    drawn = select_strongest(track.genes, width)
    if len(drawn) < len(track.genes):
        rest = sum(gene.effect for gene in track.genes[1:]) - sum(gene.effect for gene in drawn[1:])
        counts = f"{len(drawn) - 1} strongest of {len(track.genes) - 1} related genes"
        lines.append(f"drawn: the {counts}; the others {signed(rest)} in all")
    return lines


def _name_strongest(table: pd.DataFrame, *, n_letters: int) -> str:
    """Return one line with the names and effects of the strongest related genes, as many as fit, at least one."""
    # The table is sorted by the size of the effects.
    names = [f"{row.neighbor_symbol} {signed(row.effect)}" for row in table.itertuples()]
    # Each name but the first is preceded by a comma and a space.
    lengths = np.cumsum([len(name) + 2 for name in names]) - 2
    n_named = max(1, int((lengths + len(_STRONGEST) <= n_letters).sum()))
    return _STRONGEST + ", ".join(names[:n_named])

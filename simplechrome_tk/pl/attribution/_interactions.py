"""Interactions of marks as matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.layout_engine import ConstrainedLayoutEngine

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.statistics import NORMAL_95
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import EFFECTS, effect_norm, literal, signed
from simplechrome_tk.tl.attribution._stored import read_record

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.image import AxesImage

    from simplechrome_tk.core.require import Genes

_GROUP = "group"
_DIAGONAL = "0.9"
"""Colour of the diagonal, which has no value."""
_DARK = 0.4
"""Distance from the middle of the colour scale, which is 1 long, from which on text is white."""
_CELL = 0.62
"""Side of a cell of the matrix, in inches."""


def interactions(
    adata: ad.AnnData, *, key: str = k.ATTRIBUTION, genes: Genes = None, groupby: str | None = None
) -> np.ndarray:
    """Draw the mean interaction of each two marks as a matrix, one for each group of genes.

    Vermilion: two marks together raise the prediction more than the sum of what each does alone; blue: less.

    Parameters
    ----------
    adata, key, genes
        As for :func:`simplechrome_tk.get.interactions`, whose table is drawn.
    groupby
        Column of ``obs``; ``None`` takes all genes together.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_groups,)``, on one scale. The numbers stand in the lower half; a number is bold if the 95 %
        interval of the mean excludes 0.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.interactions`, or when there are no attributions ``key``.
    """
    # Interactions without a record of their own are in the unit of the attributions that they belong to.
    record = adata.uns.get(k.INTERACTIONS.format(key))
    unit = (read_record(adata, key) if record is None else record)["unit"]
    if groupby is None:
        table = _average_all(get.interactions(adata, key=key, genes=genes))
    else:
        table = get.interactions(adata, key=key, genes=genes, groupby=groupby).rename(columns={groupby: _GROUP})
    marks = list(dict.fromkeys([*table["first"], *table["second"]]))
    groups = list(table[_GROUP].unique())
    norm = effect_norm(table["mean"].to_numpy())
    side = _CELL * len(marks)
    figure, axes = subplots(
        1,
        len(groups),
        figsize=((side + 0.2) * len(groups) + 2.4, side + 1.2),
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(wspace=0.05),
    )
    for ax, group in zip(axes[0], groups, strict=True):
        part = table[table[_GROUP] == group]
        mesh = _draw_matrix(ax, part, marks, norm)
        name = "" if groupby is None else f"{groupby}: {group}, "
        ax.set_title(literal(f"{name}{part['n'].iloc[0]:,} genes"), fontsize="medium")
    axes[0, 0].set_yticks(range(len(marks)), list(map(literal, marks)))
    figure.colorbar(mesh, ax=axes[0], label=literal(f"mean interaction\n({unit})"), pad=0.02, shrink=0.8)
    return axes[0]


def _average_all(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over all genes, with its normal 95 % interval, in the columns of a table by group."""
    effects = table.groupby(["first", "second"], sort=False)["effect"]
    half = NORMAL_95 * effects.sem()
    means = pd.DataFrame({"mean": effects.mean(), "low": effects.mean() - half, "high": effects.mean() + half})
    return means.assign(n=effects.size(), **{_GROUP: "all"}).reset_index()


def _draw_matrix(ax: Axes, part: pd.DataFrame, marks: list[str], norm: Normalize) -> AxesImage:
    """Draw the matrix of one group: colours in both halves, numbers in the lower one."""
    values = np.full((len(marks), len(marks)), np.nan)
    # The table lists each pair once, in either order.
    for row in part.itertuples():
        first, second = sorted((marks.index(row.first), marks.index(row.second)))
        values[first, second] = values[second, first] = row.mean
        excludes_zero = row.low > 0 or row.high < 0
        ax.text(
            first,
            second,
            signed(row.mean),
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if excludes_zero else "normal",
            color="white" if abs(norm(row.mean) - 0.5) > _DARK else "black",
        )
    ax.set_facecolor(_DIAGONAL)
    ax.set_xticks(range(len(marks)), list(map(literal, marks)), rotation=45, rotation_mode="anchor", ha="right")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax.imshow(values, cmap=EFFECTS, norm=norm)

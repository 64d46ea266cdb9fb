"""Plot of the change of every gene against the measured change, the level of expression, or the error rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
import seaborn as sns

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import split_of
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import DOWN, GREY, UP, literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad
    from matplotlib.axes import Axes

Against = Literal["measured", "average", "fdr"]

# Probability, and false discovery rate, from which on a gene is coloured.
_SURE, _RATE = 0.9, 0.05
# Size of a name, as fractions of the axes.
_NAME_WIDTH, _NAME_HEIGHT = 0.12, 0.035


def contrast(
    adata: ad.AnnData,
    *,
    against: Against | None = None,
    n_names: int = 10,
    split: str | None = None,
    key: str = k.CONTRAST,
    ax: Axes | None = None,
) -> Axes:
    """Draw the predicted change of every gene against the measured change, the average level, or the error rate.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.contrast`.
    against
        ``"measured"``: the measured change, with its correlation. ``"average"``: the mean predicted log expression of
        both conditions (an MA plot). ``"fdr"``: a volcano plot of the false discovery rate, where there are replicates.
        ``None`` takes the measured change where it is known, and otherwise the average.
    n_names
        Number of genes with the largest predicted change, in each direction, that are named where there is room.
    split
        Draw the genes of one split, such as ``"test"``, which the model has not seen; ``None`` draws all.
    key
        Name of the contrast.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        One point for each gene. Coloured genes change by more than the fold with a probability of 90 % (or, with
        ``"fdr"``, change at a rate of 5 %): upwards vermilion, downwards blue.

    Raises
    ------
    ValueError
        When there is no contrast, or what is drawn is not known.
    """
    table = get.contrast(adata, key=key)
    record = adata.uns[key]
    if split is not None:
        of_row = pd.Series(split_of(adata), index=adata.obs_names)
        table = table[of_row[table["gene"]].to_numpy() == split]
    if against is None:
        against = "measured" if "measured" in table else "average"
    if against not in get_args(Against):
        msg = f"against is {against!r}; choose one of {', '.join(get_args(Against))}."
        raise ValueError(msg)
    needed = {"measured": "measured", "average": "average", "fdr": "fdr"}[against]
    if needed not in table or not len(table):
        msg = f"the contrast {key!r} of {len(table)} genes has no {needed!r}: see sct.tl.contrast for what it needs."
        raise ValueError(msg)
    if ax is None:
        _, ax = subplots(figsize=(5.6, 4.6), layout="constrained")
    change = table["change"].to_numpy()
    y, label = _vertical(table, against, record)
    color = _colors(table, against)
    for shade in (GREY, DOWN, UP):
        drawn = color == shade
        ax.scatter(change[drawn], y[drawn], s=5, color=shade, alpha=0.5, linewidths=0, rasterized=True)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    title = f"{record['of']} against {record['against']}, {len(table):,} genes"
    if against == "measured":
        known = ~np.isnan(y)
        # Conditions with the same marks have no change, and nothing correlates with it.
        if known.any() and np.ptp(change[known]) and np.ptp(y[known]):
            title += f", Pearson {np.corrcoef(change[known], y[known])[0, 1]:.2f}"
        ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
    _name_genes(ax, table, y, n_names)
    ax.set(xlabel=literal(f"predicted {record['unit']}"), ylabel=literal(label))
    ax.set_title(literal(title), loc="left", fontsize="medium")
    sns.despine(ax=ax)
    return ax


def _vertical(table: pd.DataFrame, against: str, record: Mapping[str, object]) -> tuple[np.ndarray, str]:
    """Return the position of each gene on the vertical axis, and the label of the axis."""
    if against == "measured":
        return table["measured"].to_numpy(), "measured change (log10)"
    if against == "average":
        return table["average"].to_numpy(), str(record["unit"]).replace("change of", "mean predicted")
    return -np.log10(table["fdr"].to_numpy()), "-log10 false discovery rate"


def _colors(table: pd.DataFrame, against: str) -> np.ndarray:
    """Return the colour of each gene."""
    change = table["change"].to_numpy()
    if against == "fdr":
        sure = table["fdr"].to_numpy() <= _RATE
    elif "up" in table:
        sure = table[["up", "down"]].max(axis=1).to_numpy() >= _SURE
    else:
        sure = np.zeros(len(table), dtype=bool)
    return np.where(sure & (change > 0), UP, np.where(sure & (change < 0), DOWN, GREY))


def _name_genes(ax: Axes, table: pd.DataFrame, y: np.ndarray, n: int) -> None:
    """Write the symbols of the genes that change most; a name that would lie on another one is left out."""
    change = table["change"].to_numpy()
    order = np.argsort(change, kind="stable")
    room = np.array([np.ptp(ax.get_xlim()) * _NAME_WIDTH, np.ptp(ax.get_ylim()) * _NAME_HEIGHT])
    named = np.empty((0, 2))
    for place in [*order[:n], *order[::-1][:n]]:
        position = np.array([change[place], y[place]])
        if np.isnan(position).any() or (np.abs(named - position) < room).all(axis=1).any():
            continue
        named = np.vstack([named, position])
        up = change[place] > 0
        ax.annotate(
            literal(str(table["symbol"].iloc[place])),
            (change[place], y[place]),
            xytext=(-3 if up else 3, 2),
            textcoords="offset points",
            ha="right" if up else "left",
            fontsize=6.5,
        )

"""Plots of predictions before and after edits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.tables import check_table, read_table
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import DOWN, GREY, UP, literal

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

_CALL = "sct.tl.perturb(adata, model, edits)"
_LABELS = {"probability": "predicted probability of high", "log_expression": "predicted log10(expression + 0.1)"}
_MOST_GENES = 20
# Distance of the predictions from the middle of the gene's row, which is 1 high.
_OFFSET = 0.16


def perturb(adata: ad.AnnData, *, key: str = k.PERTURB, value: str = k.LOG_EXPRESSION, ax: Axes | None = None) -> Axes:
    """Draw the predictions before and after edits: before in grey, after in colour, each with its interval.

    Parameters
    ----------
    adata
        Data with the result of :func:`simplechrome_tk.tl.perturb` for at most twenty genes.
    key
        Name of the result in ``uns``.
    value
        ``"log_expression"`` or ``"probability"``.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        One row per gene, in the order of the table: vermilion where the prediction rises, blue where it falls.

    Raises
    ------
    ValueError
        When there is no such result, it lacks the value, or it holds no gene or more than twenty.
    """
    return draw_perturb(read_table(adata, key, _columns(value), call=_CALL), value=value, ax=ax)


def draw_perturb(table: pd.DataFrame, *, value: str = k.LOG_EXPRESSION, ax: Axes | None = None) -> Axes:
    """Draw a table that :func:`simplechrome_tk.tl.perturb` writes."""
    check_table(table, "the table", _columns(value), call=_CALL)
    if not 0 < len(table) <= _MOST_GENES:
        msg = f"the table holds {len(table)} genes; choose from 1 to {_MOST_GENES} of them to draw."
        raise ValueError(msg)
    if ax is None:
        ax = subplots(figsize=(6.2, 0.55 * len(table) + 1.0), layout="constrained")[1]
    for place, row in enumerate(table.to_dict("records")):
        _draw_gene(ax, place, row, value)
    shared = table["symbol"].duplicated(keep=False)
    ax.set_yticks(np.arange(len(table)), table["symbol"].where(~shared, table["gene"]).map(literal))
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(_LABELS[value])
    if value == k.PROBABILITY:
        ax.set_xlim(-0.02, 1.02)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    sns.despine(ax=ax, left=True)
    return ax


def _columns(value: str) -> list[str]:
    if value not in _LABELS:
        msg = f"value is {value!r}; choose one of {', '.join(_LABELS)}."
        raise ValueError(msg)
    parts = [f"{value}{bound}_{when}" for bound in ("", "_low", "_high") for when in ("before", "after")]
    return ["gene", "symbol", *parts]


def _draw_gene(ax: Axes, place: int, row: dict[str, Any], value: str) -> None:
    """Draw both predictions of a gene with their intervals, and an arrow from one to the other."""
    before, after = row[f"{value}_before"], row[f"{value}_after"]
    color = _color(after - before)
    for when, label, offset, shade in (
        ("before", "as measured", -_OFFSET, GREY),
        ("after", "edited", _OFFSET, color),
    ):
        interval = [row[f"{value}_low_{when}"], row[f"{value}_high_{when}"]]
        ax.plot(interval, 2 * [place + offset], color=shade, linewidth=5, alpha=0.35, solid_capstyle="butt")
        # One label for each colour in the legend is enough: that of the first gene.
        ax.plot(
            [row[f"{value}_{when}"]],
            [place + offset],
            color=shade,
            marker="o",
            linestyle="none",
            label=None if place else label,
        )
    if after != before:
        arrow = {"arrowstyle": "->", "color": color}
        ax.annotate("", (after, place + _OFFSET), (before, place - _OFFSET), arrowprops=arrow)


def _color(change: float) -> str:
    if change == 0:
        return GREY
    return UP if change > 0 else DOWN

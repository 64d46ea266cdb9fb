"""Plots of predictions against the factor that a mark is scaled by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.tables import check_table, read_table
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, colors, literal

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

_CALL = "sct.tl.dose_response(adata, model, mark)"
_LABELS = {
    "probability": "predicted probability of high",
    "log_odds": "predicted log-odds of high",
    "log_expression": "predicted log10(expression + 0.1)",
}
_MOST_LINES = 8
# Of log10 expression, a factor of 2: the axis shows at least so much, so that tiny changes do not look large.
_LEAST_SPAN = 0.3


def dose_response(
    adata: ad.AnnData,
    *,
    key: str = k.DOSE_RESPONSE,
    value: str = k.LOG_EXPRESSION,
    groupby: str | None = None,
    factor: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw predictions against the factor of a mark: genes as lines, or the median of groups with their middle half.

    Parameters
    ----------
    adata
        Data with the result of :func:`simplechrome_tk.tl.dose_response`.
    key
        Name of the result in ``uns``.
    value
        ``"log_expression"``, ``"probability"`` or ``"log_odds"``.
    groupby
        Column of the result, or else of ``obs``. ``None`` draws up to eight genes one by one, and more of them as one
        group.
    factor
        Factor to mark with a diamond on each line, at one of the table or between two.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        A line per gene or group, with a band from the lower to the upper quartile of a group's genes. The dashed line
        stands at 1, the signal as measured.

    Raises
    ------
    ValueError
        When there is no such result, it lacks a column, it holds several marks and is not grouped by them, or no gene
        has a group.
    """
    table = read_table(adata, key, _columns(value), call=_CALL)
    if groupby is not None and groupby not in table and groupby in adata.obs:
        table = table.join(adata.obs[groupby], on="gene")
    return draw_dose_response(table, value=value, groupby=groupby, factor=factor, ax=ax)


def draw_dose_response(
    table: pd.DataFrame,
    *,
    value: str = k.LOG_EXPRESSION,
    groupby: str | None = None,
    factor: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a table that :func:`simplechrome_tk.tl.dose_response` writes, or several put together."""
    check_table(table, "the table", [*_columns(value), *([] if groupby is None else [groupby])], call=_CALL)
    marks = list(dict.fromkeys(table[k.MARK]))
    if len(marks) > 1 and groupby != k.MARK:
        msg = f"the table holds {', '.join(map(str, marks))}; draw one mark, or groupby='mark'."
        raise ValueError(msg)
    one_by_one = groupby is None and table["gene"].nunique() <= _MOST_LINES
    group = _group(table, groupby, one_by_one=one_by_one)
    groups = table.groupby(group, sort=False, observed=True)
    if not len(groups):
        msg = f"the table's {groupby!r} is missing throughout; expected a group for some genes."
        raise ValueError(msg)
    names = _order_groups(group)
    color = colors([str(name) for name in names])
    if ax is None:
        ax = subplots(figsize=(6.2, 3.4), layout="constrained")[1]
    for name in names:
        rows = groups.get_group(name)
        label = str(name) if one_by_one else _label_group(name, groupby, rows["gene"].nunique())
        _draw_line(ax, rows, value, label=label, color=color[str(name)], factor=factor)
    ax.axvline(1, color=GREY, linestyle="--", linewidth=1, zorder=0)
    described = "the mark" if len(marks) > 1 else marks[0]
    ax.set(xlabel=literal(f"signal of {described} (times measured)"), ylabel=literal(_LABELS.get(value, value)))
    _limit(ax, value)
    title = None if groupby is None else literal(groupby)
    ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    sns.despine(ax=ax)
    return ax


def _columns(value: str) -> list[str]:
    return ["gene", "symbol", k.MARK, "factor", value]


def _group(table: pd.DataFrame, groupby: str | None, *, one_by_one: bool) -> pd.Series:
    """Return the group of each row: its own column, the gene, or one group for all."""
    if groupby is not None:
        return table[groupby]
    if not one_by_one:
        return pd.Series("all", index=table.index)
    is_unique = table.groupby("symbol")["gene"].nunique().max() == 1
    return table["symbol" if is_unique else "gene"]


def _order_groups(group: pd.Series) -> list[object]:
    """Return the groups that occur: in the order of a categorical, else as they come."""
    found = list(dict.fromkeys(group.dropna()))
    return [name for name in group.cat.categories if name in found] if hasattr(group, "cat") else found


def _label_group(name: object, groupby: str | None, n_genes: int) -> str:
    return f"{n_genes:,} genes" if groupby is None else f"{name} ({n_genes:,} genes)"


def _draw_line(ax: Axes, rows: pd.DataFrame, value: str, *, label: str, color: str, factor: float | None) -> None:
    """Draw the median of a group over the factors, its middle half, and a diamond at ``factor``."""
    spread = rows.groupby("factor")[value].quantile([0.25, 0.5, 0.75]).unstack()
    ax.plot(spread.index, spread[0.5], color=color, marker="o", markersize=3.5, label=literal(label))
    if factor is not None:
        at = float(np.interp(factor, spread.index, spread[0.5]))
        ax.plot([factor], [at], color=color, marker="D", markersize=8, markeredgecolor="black")
    if rows["gene"].nunique() > 1:
        ax.fill_between(spread.index, spread[0.25], spread[0.75], color=color, alpha=0.2, linewidth=0)


def _limit(ax: Axes, value: str) -> None:
    """Show all probabilities, and at least so much expression that a tiny change looks tiny."""
    if value == k.PROBABILITY:
        ax.set_ylim(-0.02, 1.02)
    elif value == k.LOG_EXPRESSION:
        low, high = ax.get_ylim()
        room = max(0.0, _LEAST_SPAN - (high - low)) / 2
        ax.set_ylim(low - room, high + room)

"""Draw predictions over doses of a mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, colors, literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_NAMES = {
    "probability": "predicted probability of high",
    "log_odds": "predicted log-odds of high",
    "log_expression": "predicted log10(expression + 0.1)",
}
_MOST_LINES = 8
_LEAST_SPAN = 0.3  # of log10 expression, a factor of 2: less is not blown up


def dose_response(
    table: pd.DataFrame,
    *,
    value: str = "probability",
    groupby: str | None = None,
    dose: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw predictions against the dose of a mark: genes as lines, or the median of groups with their middle half.

    Parameters
    ----------
    table
        What :func:`simplechrome_tk.tl.dose_response` returns, or several of these put together. Columns of ``obs`` to
        group by can be joined to it: ``table.join(adata.obs["label"], on="gene")``.
    value
        ``"probability"``, ``"log_odds"`` or ``"log_expression"``.
    groupby
        Column of the table. ``None`` draws up to eight genes one by one, and more of them as one group.
    dose
        Dose to mark with a diamond on each line, between two doses of the table or at one.
    ax
        Axes to draw on; ``None`` makes new ones.

    Returns
    -------
    matplotlib.axes.Axes
        A line per gene or group, with a band from the lower to the upper quartile of a group's genes. The dashed line
        stands at the measured dose.

    Raises
    ------
    ValueError
        When the table lacks a column, holds several marks that are not what is grouped by, or no gene has a group.
    """
    needed = ["gene", "symbol", k.MARK, "dose", value, *([] if groupby is None else [groupby])]
    missing = [name for name in needed if name not in table]
    if missing:
        msg = f"the table has no column {', '.join(missing)}; expected what sct.tl.dose_response returns."
        raise ValueError(msg)
    marks = list(dict.fromkeys(table[k.MARK]))
    if len(marks) > 1 and groupby != k.MARK:
        msg = f"the table holds {', '.join(map(str, marks))}; draw one mark, or groupby='mark'."
        raise ValueError(msg)
    n_genes = table["gene"].nunique()
    one_by_one = groupby is None and n_genes <= _MOST_LINES
    by = "symbol" if one_by_one and table.groupby("symbol")["gene"].nunique().max() == 1 else "gene"
    group = table[by] if one_by_one else table["symbol"].map(lambda _: "all") if groupby is None else table[groupby]
    groups = table.groupby(group, sort=False, observed=True)
    if not len(groups):
        msg = f"the table's {groupby!r} is missing throughout; expected a group for some genes."
        raise ValueError(msg)
    names = _in_order(group)
    color = colors([str(name) for name in names])
    if ax is None:
        ax = subplots(figsize=(6.2, 3.4), layout="constrained")[1]
    for name in names:
        part = groups.get_group(name)
        spread = part.groupby("dose")[value].quantile([0.25, 0.5, 0.75]).unstack()
        members = part["gene"].nunique()
        label = str(name) if one_by_one else f"{members:,} genes" if groupby is None else f"{name} ({members:,} genes)"
        ax.plot(spread.index, spread[0.5], color=color[str(name)], marker="o", markersize=3.5, label=literal(label))
        if dose is not None:
            at = float(np.interp(dose, spread.index, spread[0.5]))
            ax.plot([dose], [at], color=color[str(name)], marker="D", markersize=8, markeredgecolor="black")
        if members > 1:
            ax.fill_between(spread.index, spread[0.25], spread[0.75], color=color[str(name)], alpha=0.2, linewidth=0)
    ax.axvline(1, color=GREY, linestyle="--", linewidth=1, zorder=0)
    what = "signal of the mark" if len(marks) > 1 else f"signal of {marks[0]}"
    ax.set(xlabel=literal(f"{what} (times measured)"), ylabel=literal(_NAMES.get(value, value)))
    if value == "probability":
        ax.set_ylim(-0.02, 1.02)
    elif value == "log_expression":
        low, high = ax.get_ylim()
        room = max(0.0, _LEAST_SPAN - (high - low)) / 2
        ax.set_ylim(low - room, high + room)
    title = None if groupby is None else literal(groupby)
    ax.legend(title=title, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    sns.despine(ax=ax)
    return ax


def _in_order(group: pd.Series) -> list[object]:
    """Return the groups there are: in the order of a categorical, else as they come."""
    found = list(dict.fromkeys(group.dropna()))
    return [name for name in group.cat.categories if name in found] if hasattr(group, "cat") else found

"""Draw predictions before and after edits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import DOWN, GREY, UP, literal

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

VALUES = {"probability": "predicted probability of high", "log_expression": "predicted log10(expression + 0.1)"}
_WHEN = ("before", "after")
_MOST_GENES = 20
_APART = 0.16


def perturb(table: pd.DataFrame, *, value: str = "log_expression", ax: Axes | None = None) -> Axes:
    """Draw what edits do to the predictions of some genes: before in grey, after in colour, each with its interval.

    Parameters
    ----------
    table
        What :func:`simplechrome_tk.tl.perturb` returns, of at most twenty genes.
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
        When the table lacks a column, or holds no gene or more than twenty.
    """
    needed = ["gene", "symbol", *(f"{value}{bound}_{when}" for bound in ("", "_low", "_high") for when in _WHEN)]
    missing = [name for name in needed if name not in table]
    if missing:
        msg = f"the table has no column {', '.join(missing)}; expected what sct.tl.perturb returns."
        raise ValueError(msg)
    if not 0 < len(table) <= _MOST_GENES:
        msg = f"the table holds {len(table)} genes; choose from 1 to {_MOST_GENES} of them to draw."
        raise ValueError(msg)
    if ax is None:
        ax = subplots(figsize=(6.2, 0.55 * len(table) + 1.0), layout="constrained")[1]
    for place, row in enumerate(table.to_dict("records")):
        before, after = row[f"{value}_before"], row[f"{value}_after"]
        color = GREY if after == before else UP if after > before else DOWN
        for when, shift, shade in (("before", -_APART, GREY), ("after", _APART, color)):
            low, high = row[f"{value}_low_{when}"], row[f"{value}_high_{when}"]
            label = None if place else {"before": "as measured", "after": "edited"}[when]
            ax.plot([low, high], 2 * [place + shift], color=shade, linewidth=5, alpha=0.35, solid_capstyle="butt")
            ax.plot([row[f"{value}_{when}"]], [place + shift], color=shade, marker="o", linestyle="none", label=label)
        if after != before:
            ax.annotate(
                "", (after, place + _APART), (before, place - _APART), arrowprops={"arrowstyle": "->", "color": color}
            )
    twice = table["symbol"].duplicated(keep=False)
    ax.set_yticks(np.arange(len(table)), table["symbol"].where(~twice, table["gene"]).map(literal))
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(VALUES[value])
    if value == "probability":
        ax.set_xlim(-0.02, 1.02)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    sns.despine(ax=ax, left=True)
    return ax

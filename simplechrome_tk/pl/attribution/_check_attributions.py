"""Plots of the checks of attributions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_data
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.tables import check_table
from simplechrome_tk.pl._figure import new_figure
from simplechrome_tk.pl._style import GREY, literal
from simplechrome_tk.tl.checks._verdicts import NOT_PASSED, NOT_TESTED, PASSED

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

_CALL = "sct.tl.check_attributions(adata, model)"
_COLUMNS = {
    "verdicts": ["check", "quantity", "value", "low", "high", "expected", "verdict"],
    "genes": ["check", "quantity", "value"],
    "curves": ["curve", "order", "fraction", "prediction"],
}
"""Tables that are drawn, and the columns that are needed of each."""

_MARKERS = {PASSED: ("o", "#0072B2"), NOT_PASSED: ("X", "#D55E00"), NOT_TESTED: ("_", GREY)}
_ORDERS = {"effects": ("#D55E00", "-", "order of effects"), "random": (GREY, "--", "random order")}


def check_attributions(adata: ad.AnnData, *, key: str = k.CHECK_ATTRIBUTIONS) -> np.ndarray:
    """Draw the verdicts, the rank correlations of single genes, and the deletion and insertion curves.

    Parameters
    ----------
    adata
        Data with the result of :func:`simplechrome_tk.tl.check_attributions`.
    key
        Name of the result in ``uns``.

    Returns
    -------
    numpy.ndarray
        Four axes: the verdicts, one line each with the figure and what was expected; rank correlations, a box over
        genes (quartiles, whiskers at 5 and 95 %), with the median in the colour of the verdict and the bound as a
        dotted line; the mean prediction over the fraction of bins deleted, and inserted.

    Raises
    ------
    ValueError
        When there is no such result, or a table of it is missing.
    """
    tables = _read(adata, key)
    verdicts, curves = tables["verdicts"], tables["curves"]
    unit = str(adata.uns[key].get("unit", "unit of the target"))
    size = (13.5, max(0.3 * len(verdicts) + 1.2, 5.0))
    figure = new_figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.03))
    grid = figure.add_gridspec(2, 3, width_ratios=[2.5, 1, 1.15])
    listed = figure.add_subplot(grid[:, 0])
    boxes = figure.add_subplot(grid[:, 1], sharey=listed)
    deletion, insertion = figure.add_subplot(grid[0, 2]), figure.add_subplot(grid[1, 2])
    _list_verdicts(listed, verdicts)
    _draw_boxes(boxes, verdicts, tables["genes"])
    _draw_curve(deletion, verdicts, curves, "deletion")
    _draw_curve(insertion, verdicts, curves, "insertion")
    deletion.set(xlabel="fraction of bins set to the baseline", ylabel=literal(f"mean prediction\n({unit})"))
    insertion.set(xlabel="fraction of bins put back", ylabel=literal(f"mean prediction\n({unit})"))
    insertion.legend(frameon=False, fontsize="small")
    return np.array([listed, boxes, deletion, insertion])


def _read(adata: ad.AnnData, key: str) -> dict[str, pd.DataFrame]:
    check_data(adata)
    if key not in adata.uns:
        msg = f"uns has no {key!r} (found: {shorten(adata.uns)}): run {_CALL} first, or name its result with key."
        raise ValueError(msg)
    stored = adata.uns[key] if isinstance(adata.uns[key], Mapping) else {}
    return {
        name: check_table(stored.get(name), f"uns[{key!r}][{name!r}]", columns, call=_CALL)
        for name, columns in _COLUMNS.items()
    }


def _list_verdicts(ax: Axes, rows: pd.DataFrame) -> None:
    check = ""
    for place, row in enumerate(rows.to_dict("records")):
        marker, color = _MARKERS[str(row["verdict"])]
        ax.plot([0.98], [place], marker=marker, color=color, markersize=8, clip_on=False)
        ax.text(0.2, place, literal(_name(str(row["quantity"]))), va="center", fontsize="small")
        tested = row["verdict"] != NOT_TESTED
        figure = f"{row['value']:.2g}  ({row['expected']})" if tested else NOT_TESTED
        ax.text(0.95, place, figure, va="center", ha="right", fontsize="small", color="black" if tested else GREY)
        if row["check"] != check:
            check = str(row["check"])
            ax.text(0, place, check, va="center", fontsize="small", fontweight="bold")
            ax.axhline(place - 0.5, color="0.9", linewidth=1)
    ax.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), xticks=[], yticks=[])
    handles = [
        Line2D([], [], marker=marker, color=color, linestyle="", markersize=7, label=verdict)
        for verdict, (marker, color) in _MARKERS.items()
    ]
    ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, fontsize="small")
    ax.set_title("figure (expected)", fontsize="medium", loc="right")
    sns.despine(ax=ax, left=True, bottom=True)


def _name(quantity: str) -> str:
    return quantity.replace(", median gene", "")


def _draw_boxes(ax: Axes, rows: pd.DataFrame, genes: pd.DataFrame) -> None:
    """Draw a box beside each verdict on rank correlations."""
    for place, row in enumerate(rows.to_dict("records")):
        if place and row["check"] != rows["check"].iloc[place - 1]:
            ax.axhline(place - 0.5, color="0.9", linewidth=1)
        quantity = _name(str(row["quantity"]))
        single = genes[(genes["check"] == row["check"]) & (genes["quantity"] == quantity)]["value"].dropna()
        if not len(single) or row["verdict"] == NOT_TESTED or not str(row["quantity"]).endswith("median gene"):
            continue
        _, color = _MARKERS[str(row["verdict"])]
        ax.boxplot(
            single,
            positions=[place],
            orientation="horizontal",
            widths=0.5,
            whis=(5, 95),
            showfliers=False,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": "0.9", "edgecolor": "0.4"},
            medianprops={"color": color, "linewidth": 2},
            whiskerprops={"color": "0.4"},
            capprops={"color": "0.4"},
        )
        bound = float(str(row["expected"]).split()[-1])
        ax.plot([bound, bound], [place - 0.42, place + 0.42], color="black", linewidth=1.2, linestyle=":")
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set(xlim=(-1.05, 1.05), xlabel="rank correlation,\ngenes (dotted: bound)")
    ax.tick_params(axis="y", left=False, labelleft=False)
    sns.despine(ax=ax, left=True)


def _draw_curve(ax: Axes, verdicts: pd.DataFrame, curves: pd.DataFrame, curve: str) -> None:
    for order, (color, style, name) in _ORDERS.items():
        line = curves[(curves["curve"] == curve) & (curves["order"] == order)]
        ax.plot(line["fraction"], line["prediction"], color=color, linestyle=style, label=name)
    area = verdicts[verdicts["check"] == curve].iloc[0]
    interval = f" ({area['low']:.2g} to {area['high']:.2g})" if np.isfinite(area["low"]) else ""
    ax.set_title(f"{curve}: area {area['value']:.2g}{interval}", fontsize="medium")
    ax.set_xlim(0, 1)
    sns.despine(ax=ax)

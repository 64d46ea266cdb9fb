"""Plots of the effect of editing each bin of each mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.tables import read_table
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import EFFECTS, along, effect_norm, literal

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

_CALL = "sct.tl.saturate(adata, model, genes)"
_LABELS = {
    "log_odds": "change of the log-odds of high\nwhen the bin is edited",
    "log_expression": "change of log10(expression + 0.1)\nwhen the bin is edited",
}
_NOT_SCANNED = "0.9"


def saturate(
    adata: ad.AnnData, *, key: str = k.SATURATE, gene: str | None = None, value: str = k.LOG_EXPRESSION
) -> np.ndarray:
    """Draw marks by bins, coloured by the change of the prediction when the bin is edited.

    Vermilion where the edit raises the prediction, blue where it lowers it: a blue bin, when removed, is one that
    raises the expression as measured. The line in each row is the signal, each mark up to its own largest. Bins that
    were not scanned are grey.

    Parameters
    ----------
    adata
        Data with the result of :func:`simplechrome_tk.tl.saturate`.
    key
        Name of the result in ``uns``.
    gene
        Id or symbol of the gene to draw; ``None`` draws the mean over all in the result.
    value
        ``"log_expression"`` or ``"log_odds"``, whose change is drawn.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_regions,)``, on one colour scale.

    Raises
    ------
    ValueError
        When there is no such result, or it lacks the value or the gene.
    """
    change = f"{value}_change"
    needed = ["gene", "symbol", k.MARK, k.REGION, k.START_BP, k.END_BP, "signal", change]
    part, title = _choose(read_table(adata, key, needed, call=_CALL), gene)
    bins = [k.REGION, k.MARK, k.START_BP, k.END_BP]
    mean = part.groupby(bins, observed=True)[[change, "signal"]].mean()
    marks, regions = (list(dict.fromkeys(part[name].astype(str))) for name in (k.MARK, k.REGION))
    highest = mean["signal"].groupby(k.MARK, observed=True).max()[marks].to_numpy()
    colors = {"cmap": EFFECTS.with_extremes(bad=_NOT_SCANNED), "norm": effect_norm(mean[change].to_numpy())}
    figure, axes = subplots(
        1,
        len(regions),
        figsize=(4.0 * len(regions) + 1.8, 0.42 * len(marks) + 1.4),
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(wspace=0.05),
    )
    for ax, region in zip(axes[0], regions, strict=True):
        axis = along(adata, region)
        by_bin = mean.loc[region].unstack(k.MARK)
        edges = axis.scale * np.append(by_bin.index.get_level_values(0), by_bin.index.get_level_values(1)[-1])
        effect, signal = (by_bin[name].reindex(columns=marks).to_numpy().T for name in (change, "signal"))
        mesh = ax.pcolormesh(edges, np.arange(len(marks) + 1), effect, **colors)
        _draw_signal(ax, edges, signal, highest)
        ax.set_xlabel(literal(axis.label))
        if axis.marker is not None:
            ax.axvline(0, color="0.4", linewidth=1, linestyle="--")
        ax.hlines(np.arange(1, len(marks)), *ax.get_xlim(), color="0.8", linewidth=0.8)
        ax.locator_params(axis="x", nbins=5)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(np.arange(len(marks)) + 0.5, list(map(literal, marks)))
    axes[0, 0].invert_yaxis()
    figure.colorbar(mesh, ax=axes[0], label=literal(_LABELS.get(value, value)), pad=0.02)
    figure.suptitle(literal(title), fontsize="medium")
    return axes[0]


def _choose(table: pd.DataFrame, gene: str | None) -> tuple[pd.DataFrame, str]:
    """Return the rows to draw, and the title that says which genes they are of."""
    part = table
    if gene is not None:
        part = table[(table["gene"] == gene) | (table["symbol"] == gene)]
        if not len(part):
            known = dict.fromkeys(table["symbol"])
            msg = f"the table has no gene {gene!r}; it holds {shorten(known, limit=5)}."
            raise ValueError(msg)
    n_genes = part["gene"].nunique()
    return part, str(part["symbol"].iloc[0]) if n_genes == 1 else f"mean of {n_genes:,} genes"


def _draw_signal(ax: Axes, edges: np.ndarray, signal: np.ndarray, highest: np.ndarray) -> None:
    """Draw each row's signal as steps within the row, up to the mark's largest in any region."""
    for row, (values, top) in enumerate(zip(signal, highest, strict=True)):
        if top > 0:
            ax.stairs(row + 1 - 0.85 * values / top, edges, baseline=None, color="0.25", linewidth=0.8)

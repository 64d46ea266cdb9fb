"""Draw what editing each bin of each mark does to the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.layout_engine import ConstrainedLayoutEngine

from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import LABEL_COLORS, along, literal

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from matplotlib.axes import Axes

_NAMES = {
    "log_odds_change": "change of the log-odds of high\nwhen the bin is edited",
    "log_expression_change": "change of log10(expression + 0.1)\nwhen the bin is edited",
}
_NO_SCAN = "0.9"


def saturation(
    adata: ad.AnnData, table: pd.DataFrame, *, gene: str | None = None, value: str = "log_odds_change"
) -> np.ndarray:
    """Draw a saturation map: marks by bins, coloured by what editing the bin does to the prediction.

    Vermilion where the edit raises the prediction, blue where it lowers it: a bin whose removal is blue holds the
    expression up. The line in each row is the signal, each mark up to its own largest. Bins that were not scanned are
    grey.

    Parameters
    ----------
    adata
        The genes that were scanned, for where the bins lie.
    table
        What :func:`simplechrome_tk.tl.saturate` returns.
    gene
        Id or symbol of the gene to draw; ``None`` draws the mean over all in the table.
    value
        ``"log_odds_change"`` or ``"log_expression_change"``.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_regions,)``, on one colour scale.

    Raises
    ------
    ValueError
        When the table lacks a column or the gene.
    """
    needed = ["gene", "symbol", k.MARK, k.REGION, k.START_BP, k.END_BP, "signal", value]
    missing = [name for name in needed if name not in table]
    if missing:
        msg = f"the table has no column {', '.join(missing)}; expected what sct.tl.saturate returns."
        raise ValueError(msg)
    part, title = _choose(table, gene)
    keys = [k.REGION, k.MARK, k.START_BP, k.END_BP]
    mean = part.groupby(keys, observed=True)[[value, "signal"]].mean()
    marks, regions = (list(dict.fromkeys(part[name].astype(str))) for name in (k.MARK, k.REGION))
    tops = mean["signal"].groupby(k.MARK, observed=True).max()[marks].to_numpy()
    largest = float(mean[value].abs().max()) or 1.0
    ends = [LABEL_COLORS["low"], "white", LABEL_COLORS["high"]]
    colors = LinearSegmentedColormap.from_list("effect", ends).with_extremes(bad=_NO_SCAN)
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
        cells = mean.loc[region]
        wide = cells.unstack(k.MARK)
        edges = axis.scale * np.append(wide.index.get_level_values(0), wide.index.get_level_values(1)[-1])
        effect, signal = (wide[name].reindex(columns=marks).to_numpy().T for name in (value, "signal"))
        mesh = ax.pcolormesh(edges, np.arange(len(marks) + 1), effect, cmap=colors, vmin=-largest, vmax=largest)
        _draw_signal(ax, edges, signal, tops)
        ax.set_xlabel(literal(axis.label))
        if axis.marker is not None:
            ax.axvline(0, color="0.4", linewidth=1, linestyle="--")
        ax.hlines(np.arange(1, len(marks)), *ax.get_xlim(), color="0.8", linewidth=0.8)
        ax.locator_params(axis="x", nbins=5)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(np.arange(len(marks)) + 0.5, list(map(literal, marks)))
    axes[0, 0].invert_yaxis()
    figure.colorbar(mesh, ax=axes[0], label=literal(_NAMES.get(value, value)), pad=0.02)
    figure.suptitle(literal(title), fontsize="medium")
    return axes[0]


def _choose(table: pd.DataFrame, gene: str | None) -> tuple[pd.DataFrame, str]:
    """Rows to draw, and what they are."""
    part = table
    if gene is not None:
        part = table[(table["gene"] == gene) | (table["symbol"] == gene)]
        if not len(part):
            known = list(dict.fromkeys(table["symbol"]))
            more = ", ..." if len(known) > 5 else ""
            msg = f"the table has no gene {gene!r}; it holds {', '.join(map(str, known[:5]))}{more}."
            raise ValueError(msg)
    n_genes = part["gene"].nunique()
    return part, str(part["symbol"].iloc[0]) if n_genes == 1 else f"mean of {n_genes:,} genes"


def _draw_signal(ax: Axes, edges: np.ndarray, signal: np.ndarray, tops: np.ndarray) -> None:
    """Draw each row's signal as steps within the row, up to its largest in any region."""
    for row, (values, top) in enumerate(zip(signal, tops, strict=True)):
        if top > 0:
            ax.stairs(row + 1 - 0.85 * values / top, edges, baseline=None, color="0.25", linewidth=0.8)

"""Panes of the explorer: profile, expression, table and map of the selected genes."""

from __future__ import annotations

import base64
import html
import re
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap, Normalize

from simplechrome_tk import pl
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import cell_type_key, cell_types, symbols
from simplechrome_tk.pl._figure import new_figure, subplots
from simplechrome_tk.pl._style import literal, unit
from simplechrome_tk.pl.data._expression import expression as draw_expression
from simplechrome_tk.widgets._panel import picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simplechrome_tk.widgets._explorer_colors import Color

GROUP = "genes"
SELECTED, OTHERS = "selected", "other genes"
_MOST_ROWS = 200
_FORMULA = re.compile(r"(?![+-][\d.,]+(e[+-]?\d+)?$)[=+\-@\t\r].", re.IGNORECASE | re.DOTALL)
"""Beginning of a text that a spreadsheet takes for a formula; numbers with a sign are no formulas."""
_TABLE_COLUMNS = (k.CHROM, k.LABEL, k.STATE)


def paragraph(sentence: str) -> str:
    """Return a sentence as a paragraph of HTML."""
    return f"<p>{html.escape(sentence)}</p>"


def split_off(adata: ad.AnnData, rows: np.ndarray) -> ad.AnnData:
    """Return the same genes, with shared matrices and ``obs["genes"]``: ``selected`` or ``other genes``."""
    chosen = np.zeros(adata.n_obs, dtype=bool)
    chosen[rows] = True
    group = pd.Categorical(np.where(chosen, SELECTED, OTHERS), categories=[SELECTED, OTHERS])
    obs = adata.obs[[name for name in (k.EXPRESSION,) if name in adata.obs]].assign(**{GROUP: group})
    # The plots read these records; other slots would only be copied.
    kept = {name: adata.uns[name] for name in (k.WINDOWS, k.UNITS, k.NORMALIZE) if name in adata.uns}
    layers = {k.SIGNAL: adata.layers[k.SIGNAL]} if k.SIGNAL in adata.layers else None
    return ad.AnnData(adata.X, obs=obs, var=adata.var, uns=kept, layers=layers)


def profile(adata: ad.AnnData, rows: np.ndarray) -> str:
    """Draw the mean of each mark along the selected genes and along all others."""
    data = split_off(adata, rows)
    return picture(lambda: pl.mark_profiles(data, groupby=GROUP), f"Mean marks of {len(rows)} selected genes")


def expression(adata: ad.AnnData, rows: np.ndarray) -> str:
    """Draw the expression of the selected genes and of all others."""
    if k.EXPRESSION not in adata.obs:
        return paragraph("The data hold no expression: obs has no column 'expression'.")
    unmeasured = int(adata.obs[k.EXPRESSION].iloc[rows].isna().sum())
    if unmeasured == len(rows):
        return paragraph("No selected gene has a measured expression.")
    data = split_off(adata, rows)

    def draw() -> None:
        ax = new_figure(figsize=(7.2, 2.8)).add_axes((0.08, 0.19, 0.5, 0.76))
        draw_expression(data, groupby=GROUP, ax=ax)

    drawn = picture(draw, f"Expression of {len(rows)} selected genes")
    if unmeasured:
        drawn += paragraph(f"{unmeasured} selected genes without a measured expression are left out.")
    return drawn


def selected_table(
    adata: ad.AnnData, rows: np.ndarray, predicted: pd.DataFrame | None, *, clusters: str
) -> pd.DataFrame:
    """Return a table of genes by id: columns of ``obs``, predicted probability of high, and log expression."""
    obs = adata.obs.iloc[rows]
    table = pd.DataFrame({k.SYMBOL: symbols(adata)[rows]}, index=obs.index)
    several = [cell_type_key(adata)] if cell_types(adata).nunique() > 1 else []
    table = table.join(obs[[name for name in (*several, *_TABLE_COLUMNS, clusters) if name in obs]])
    if k.EXPRESSION in obs:
        table[f"expression {unit(adata, k.EXPRESSION)}".rstrip()] = obs[k.EXPRESSION]
    if predicted is not None:
        of_genes = predicted.iloc[rows]
        if "probability" in of_genes:
            table["P(high)"] = of_genes["probability"]
        if "log_expression" in of_genes:
            table["predicted log10"] = of_genes["log_expression"]
    return table


def table_page(table: pd.DataFrame) -> str:
    """Return a table as HTML, with a link that saves all of it as CSV without formulas."""
    guarded, n_guarded = guard(table)
    csv = base64.b64encode(guarded.to_csv().encode()).decode()
    # The link holds the whole file, so that it works without the kernel.
    link = f'<a download="selected_genes.csv" href="data:text/csv;base64,{csv}">Save as CSV</a>'
    part = f"; the first {_MOST_ROWS} are shown" if len(table) > _MOST_ROWS else ""
    note = f" {n_guarded} of its texts begin like a formula; an apostrophe precedes them." if n_guarded else ""
    noun = "gene" if len(table) == 1 else "genes"
    summary = f"<p>{len(table):,} {noun} selected{part}. {link}{note}</p>"
    by_symbol = table.head(_MOST_ROWS).reset_index(names="id").set_index(k.SYMBOL)
    rows = by_symbol[[*by_symbol.columns.drop("id"), "id"]].to_html(float_format="{:.3g}".format, na_rep="", border=0)
    return f'{summary}<div style="overflow: auto; max-height: 360px">{rows}</div>'


def guard(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Put an apostrophe before each text that a spreadsheet would run as a formula, and count these texts.

    They begin with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return. Numbers and single signs stay as they are.
    """
    whole = table.reset_index(names="id").astype(object)
    is_formula = whole.map(lambda value: isinstance(value, str) and bool(_FORMULA.match(value)))
    guarded = whole.mask(is_formula, "'" + whole.astype(str))
    return guarded.set_index("id").rename_axis(table.index.name), int(is_formula.to_numpy().sum())


def map_figure(xy: np.ndarray, name: str, color: Color, rows: np.ndarray) -> Figure:
    """Draw the map with matplotlib, with circles around the selected genes."""
    figure, ax = subplots(figsize=(7.2, 4.8), layout="constrained")
    small = {"s": 2.0, "linewidths": 0, "rasterized": True}
    if isinstance(color.palette, dict):
        for group, group_color in color.palette.items():
            members = (color.values == group).to_numpy()
            ax.scatter(*xy[members, :2].T, color=group_color, label=literal(f"{group} ({members.sum():,})"), **small)
        ax.legend(
            title=literal(name), loc="upper left", bbox_to_anchor=(1, 1), markerscale=4, frameon=False, fontsize="small"
        )
    else:
        low, high = color.ends or (None, None)
        norm, cmap = Normalize(low, high, clip=True), ListedColormap(color.palette)
        points = ax.scatter(*xy[:, :2].T, c=color.values, norm=norm, cmap=cmap, **small)
        figure.colorbar(points, ax=ax, label=literal(name))
    if len(rows):
        ax.scatter(*xy[rows, :2].T, s=14, facecolors="none", edgecolors="black", linewidths=0.6)
        ax.set_title(f"{len(rows):,} selected genes circled", loc="left", fontsize="medium")
    ax.set(xticks=[], yticks=[], xlabel="UMAP 1", ylabel="UMAP 2")
    return figure

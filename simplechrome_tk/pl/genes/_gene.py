"""The marks of one gene as heat maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.layout_engine import ConstrainedLayoutEngine

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, values
from simplechrome_tk.core.require import cell_type_key, gene_row, symbols
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import along, bounds, literal, measure, unit

if TYPE_CHECKING:
    import anndata as ad


def gene(adata: ad.AnnData, gene: str, *, layer: str | None = k.SIGNAL) -> np.ndarray:
    """Draw the marks of one gene as heat maps, one for each region, on one colour scale.

    Values that are all positive run from pale to dark. If some are negative, white is 0, red above and blue below.

    Parameters
    ----------
    adata
        Genes by bins.
    gene
        Name in ``obs_names``, or a symbol that names one row.
    layer
        As for :func:`simplechrome_tk.get.region`: ``"signal"`` draws the signal before normalisation, ``None`` draws
        ``X``.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_regions,)``.

    Raises
    ------
    ValueError
        When no gene has this name, or several do, or the layer is not there.

    Examples
    --------
    >>> sct.pl.gene(adata, "SIM0007").shape
    (2,)
    """
    row = gene_row(adata, gene)
    layout, signal = Layout.of(adata), values(adata, layer)[[row]]
    regions, marks = layout.regions, layout.marks
    panels = {name: layout.view(signal, name)[0] for name in regions}
    lowest, highest = float(signal.min()), float(signal.max())
    # Signal needs a scale from pale to dark, normalised values one with two sides of equal length.
    cmap = "YlGnBu"
    if lowest < 0:
        cmap, highest = "RdBu_r", max(highest, -lowest)
        lowest = -highest
    figure, axes = subplots(
        1,
        len(regions),
        figsize=(4.0 * len(regions) + 1.5, 0.34 * len(marks) + 1.4),
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(wspace=0.05),
    )
    for ax, (name, panel) in zip(axes[0], panels.items(), strict=True):
        axis = along(adata, name)
        mesh = ax.pcolormesh(
            bounds(adata, name), np.arange(len(marks) + 1), panel, cmap=cmap, vmin=lowest, vmax=highest
        )
        ax.set_xlabel(literal(axis.label))
        if axis.marker is not None:
            ax.axvline(0, color="0.4", linewidth=1, linestyle="--")
        ax.hlines(np.arange(1, len(marks)), *ax.get_xlim(), color="white", linewidth=2)
        ax.locator_params(axis="x", nbins=5)
        ax.tick_params(axis="y", length=0)
        ax.spines[:].set_visible(False)
    axes[0, 0].set_yticks(np.arange(len(marks)) + 0.5, list(map(literal, marks)))
    axes[0, 0].invert_yaxis()
    figure.colorbar(mesh, ax=axes[0], label=literal(measure(adata, layer)), pad=0.02)
    figure.suptitle(literal(describe_gene(adata, row)), fontsize="medium")
    return axes[0]


def describe_gene(adata: ad.AnnData, gene: int) -> str:
    """Return symbol, sample or cell type, position, expression and label of the gene in a row, as far as known."""
    row = adata.obs.iloc[gene]
    parts = [str(symbols(adata)[gene])]
    if (key := cell_type_key(adata)) is not None:
        parts.append(f"{row[key]}")
    parts += describe_position(row)
    if k.EXPRESSION in row:
        parts.append(_describe_expression(row[k.EXPRESSION], unit(adata, k.EXPRESSION)))
    if k.LABEL in row and pd.notna(row[k.LABEL]):
        parts.append(f"{row[k.LABEL]}")
    return "  ·  ".join(parts)


def describe_position(row: pd.Series) -> list[str]:
    """Return the position of a gene on the genome, as a list of one text, which is empty where it is not known."""
    if not {k.CHROM, k.START, k.END, k.STRAND} <= set(row.index) or pd.isna(row[k.START]):
        return []
    return [f"{row[k.CHROM]}:{row[k.START]:,.0f}-{row[k.END]:,.0f} ({row[k.STRAND]})"]


def _describe_expression(value: float, unit: str) -> str:
    if pd.isna(value):
        return "expression unknown"
    number = f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
    return f"expression {number} {unit}".rstrip()

"""Plots of the quality of latents and maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.tables import read_table
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, literal
from simplechrome_tk.tl.latent import _latent_quality, _mixing, _reconstruction

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

_COLORS = {"SimpleChrome": "#0072B2", "PCA": "#E69F00", "latent": "#0072B2", "map": "#009E73"}
_NEIGHBORS_OF = {"marks": "marks' neighbours", "latent": "latent's neighbours"}


def reconstruction(adata: ad.AnnData, *, key: str = k.RECONSTRUCTION) -> np.ndarray:
    """Draw how well each mark is decoded from the latents, and from as many principal components.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.reconstruction`.
    key
        Name of the table in ``uns``.

    Returns
    -------
    numpy.ndarray
        Axes, one for each cell type, with the explained share of the variance.

    Raises
    ------
    ValueError
        When there is no such table.
    """
    table = read_table(adata, key, _reconstruction.COLUMNS, call="sct.tl.reconstruction(adata, model)")
    cells = list(table[k.CELL_TYPE].unique())
    names = list(dict.fromkeys(zip(table[k.REGION], table[k.MARK], strict=True)))
    figure, axes = subplots(
        1,
        len(cells),
        figsize=(2.9 * len(cells) + 2.2, 0.28 * len(names) + 1.5),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, cell in zip(axes[0], cells, strict=True):
        part = table[table[k.CELL_TYPE] == cell]
        wide = part.pivot(index=[k.REGION, k.MARK], columns="model", values="r2").loc[names]
        # A grey line connects the two models of each mark.
        for place, row in enumerate(wide.itertuples(index=False)):
            ax.plot([min(row), max(row)], [place, place], color="0.8", linewidth=2, zorder=1)
        for name, values in wide.items():
            ax.plot(values, range(len(names)), "o", color=_COLORS[str(name)], markersize=6, label=name)
        ax.set_title(literal(f"{cell}, {int(part['n'].iloc[0]):,} genes"), fontsize="medium")
        ax.grid(axis="x", color="0.92")
        ax.set_axisbelow(True)
        ax.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(range(len(names)), [literal(f"{mark}, {region}") for region, mark in names])
    axes[0, 0].invert_yaxis()
    sns.despine(figure, left=True)
    figure.supxlabel("share of the variance explained", fontsize="medium")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    return axes[0]


def latent_quality(adata: ad.AnnData, *, key: str = k.LATENT_QUALITY) -> np.ndarray:
    """Draw how well latents, principal components and map keep neighbours and separate groups.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.latent_quality`.
    key
        Name of the table in ``uns``.

    Returns
    -------
    numpy.ndarray
        Axes, one for each metric.

    Raises
    ------
    ValueError
        When there is no such table.
    """
    table = read_table(adata, key, _latent_quality.COLUMNS, call="sct.tl.latent_quality(adata)")
    metrics = list(dict.fromkeys(table["metric"]))
    figure, axes = subplots(1, len(metrics), figsize=(2.7 * len(metrics) + 0.8, 2.3), layout="constrained")
    for ax, metric in zip(np.atleast_1d(axes), metrics, strict=True):
        part = table[table["metric"] == metric]
        bars = ax.barh(range(len(part)), part["value"], color=[_COLORS[name] for name in part["space"]], height=0.6)
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.bar_label(bars, fmt="%.3f", padding=3, fontsize="small")
        labels = [literal(f"{row.space}\n({_NEIGHBORS_OF.get(row.against, row.against)})") for row in part.itertuples()]
        ax.set_yticks(range(len(part)), labels, fontsize="small")
        ax.set_ylim(len(part) - 0.5, -0.5)
        # Room for the numbers beyond the ends of the bars.
        low, high = min(0.0, part["value"].min()), max(0.0, part["value"].max())
        ax.set_xlim(1.3 * low, 1.3 * high or 1.0)
        ax.set_title(metric, fontsize="medium")
        ax.tick_params(axis="y", length=0)
    sns.despine(figure, left=True)
    return np.atleast_1d(axes)


def mixing(adata: ad.AnnData, *, key: str = k.MIXING, ax: Axes | None = None) -> Axes:
    """Draw how well each cell type, or batch, mixes with the others.

    Parameters
    ----------
    adata
        Genes after :func:`simplechrome_tk.tl.mixing`.
    key
        Name of the table in ``uns``.
    ax
        Axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        Bars; the dotted line shows groups that are mixed at random.

    Raises
    ------
    ValueError
        When there is no such table.
    """
    table = read_table(adata, key, _mixing.COLUMNS, call="sct.tl.mixing(adata)")
    if ax is None:
        _, ax = subplots(figsize=(4.2, 0.34 * len(table) + 1.1), layout="constrained")
    bars = ax.barh(range(len(table)), table["mixing"], color=_COLORS["latent"], height=0.6)
    ax.bar_label(bars, fmt="%.2f", padding=3, fontsize="small")
    ax.axvline(1, color="0.3", linewidth=1, linestyle=":")
    ax.set_yticks(range(len(table)), [literal(f"{row.group} ({row.n:,} genes)") for row in table.itertuples()])
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlim(0, max(1.15, 1.15 * table["mixing"].max()))
    ax.set_xlabel("mixing (0: separate groups, 1: mixed at random)")
    ax.tick_params(axis="y", length=0)
    sns.despine(ax=ax, left=True)
    return ax

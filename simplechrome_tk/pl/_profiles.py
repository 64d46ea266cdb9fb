"""Average signal along the gene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import seaborn as sns

from simplechrome_tk import _keys as k
from simplechrome_tk import get
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, along, colors, measure

if TYPE_CHECKING:
    import anndata as ad
    import numpy as np


def mark_profiles(adata: ad.AnnData, *, groupby: str = k.LABEL, layer: str | None = k.SIGNAL) -> np.ndarray:
    """Draw the mean of each mark along the gene, one line per group of genes.

    Bands are 95 % confidence intervals of the mean. A row is a mark, with one scale; a column is a region.

    Parameters
    ----------
    adata, groupby, layer
        As for :func:`simplechrome_tk.get.mark_profiles`, whose table is drawn.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_marks, n_regions)``.

    Raises
    ------
    ValueError
        When ``groupby`` or ``layer`` is not there, or no gene has a group.
    """
    profiles = get.mark_profiles(adata, groupby=groupby, layer=layer)
    regions, marks = list(profiles["region"].unique()), list(profiles["mark"].unique())
    sizes = profiles.drop_duplicates("group").set_index("group")["n"]
    color = colors([str(name) for name in sizes.index])
    figure, axes = subplots(
        len(marks),
        len(regions),
        figsize=(3.2 * len(regions) + 1.6, 1.15 * len(marks) + 0.8),
        sharex="col",
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    for (region, mark, group), part in profiles.groupby(["region", "mark", "group"], sort=False, observed=True):
        ax = axes[marks.index(mark), regions.index(region)]
        axis = along(adata, region)
        x = axis.scale * part["position"]
        name = f"{group} ({sizes[group]:,} genes)"
        ax.plot(x, part["mean"], color=color[str(group)], linewidth=1.5, label=name)
        ax.fill_between(x, part["low"], part["high"], color=color[str(group)], alpha=0.25, linewidth=0)
    for column, region in enumerate(regions):
        axis = along(adata, region)
        for ax in axes[:, column]:
            ax.margins(x=0)
            if profiles["mean"].min() >= 0:
                ax.set_ylim(bottom=0)
            if axis.marker is not None:
                ax.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
        axes[-1, column].set_xlabel(axis.label)
    for row, mark in enumerate(marks):
        axes[row, 0].set_title(mark, loc="left", fontsize="medium", fontweight="bold")
    sns.despine(figure)
    figure.supylabel(f"mean {measure(adata, layer)}", fontsize="medium")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, title=groupby, loc="outside right upper", frameon=False)
    return axes

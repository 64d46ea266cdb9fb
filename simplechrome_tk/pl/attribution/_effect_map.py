"""Mean effects along the gene, by mark and group of genes, as heat maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import EFFECTS, along, bounds, effect_norm, literal
from simplechrome_tk.tl.attribution._stored import read_record

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

    from simplechrome_tk.pl._style import Along

_FULL_COLOR = 99.5
"""Percentile of the sizes of the effects at which the colour scale ends."""


def effect_map(adata: ad.AnnData, *, key: str = k.ATTRIBUTION, groupby: str = k.LABEL) -> np.ndarray:
    """Draw the mean effect of each bin of each mark as heat maps, one for each group of genes and region.

    All heat maps have one scale: white is 0, vermilion raises the prediction, blue lowers it. The scale ends at
    percentile 99.5 of the sizes, so that a few strong bins do not make all others pale; its pointed ends stand for
    values beyond it. Effects describe the model, bin by bin: regions whose bins differ in width, or that overlap,
    divide an effect among different numbers of bins, so that their colours cannot be compared.

    Parameters
    ----------
    adata
        Genes with the attributions that :func:`simplechrome_tk.tl.attribute` wrote.
    key
        Name of the attributions.
    groupby
        Column of ``obs``. Genes without a group or without attributions are left out and counted in the log.

    Returns
    -------
    numpy.ndarray
        Axes, shape ``(n_groups, n_regions)``.

    Raises
    ------
    ValueError
        When there are no attributions, or ``groupby`` is not there or is missing for all.
    """
    unit = read_record(adata, key)["unit"]
    profiles = get.mark_profiles(adata, groupby=groupby, layer=key)
    regions, marks = list(profiles[k.REGION].unique()), list(profiles[k.MARK].unique())
    sizes = profiles.drop_duplicates("group").set_index("group")["n"]
    groups = [group for group in sizes.index.categories if group in sizes.index]
    figure, axes = subplots(
        len(groups),
        len(regions),
        figsize=(4.0 * len(regions) + 1.5, (0.28 * len(marks) + 0.5) * len(groups) + 0.7),
        sharex="col",
        sharey=True,
        squeeze=False,
        layout=ConstrainedLayoutEngine(wspace=0.05, hspace=0.05),
    )
    means = profiles["mean"].to_numpy()
    # One scale for all panels: otherwise a weak group would look as strong as a strong one.
    norm = effect_norm(means, percentile=_FULL_COLOR)
    for (group, region), part in profiles.groupby(["group", "region"], observed=True):
        ax = axes[groups.index(group), regions.index(region)]
        values = np.stack([part.loc[part[k.MARK] == mark, "mean"] for mark in marks])
        mesh = ax.pcolormesh(
            bounds(adata, region), np.arange(len(marks) + 1), values, cmap=EFFECTS, norm=norm, rasterized=True
        )
        _style_axes(ax, along(adata, region), len(marks), bottom=group == groups[-1])
    for ax, group in zip(axes[:, 0], groups, strict=True):
        ax.set_title(literal(f"{groupby}: {group} ({sizes[group]:,} genes)"), loc="left", fontsize="medium")
    axes[0, 0].set_yticks(np.arange(len(marks)) + 0.5, list(map(literal, marks)))
    axes[0, 0].set_ylim(len(marks), 0)
    figure.colorbar(
        mesh,
        ax=axes,
        label=literal(f"mean effect per bin\n({unit})"),
        pad=0.02,
        aspect=25,
        extend=_choose_extend(means, norm),
    )
    return axes


def _style_axes(ax: Axes, axis: Along, n_marks: int, *, bottom: bool) -> None:
    """Draw lines between the marks and at the anchor; a label only at the ``bottom``."""
    if axis.marker is not None:
        ax.axvline(0, color="0.4", linewidth=1, linestyle="--")
    ax.hlines(np.arange(1, n_marks), *ax.get_xlim(), color="0.88", linewidth=0.8)
    ax.locator_params(axis="x", nbins=5)
    ax.tick_params(axis="y", length=0)
    ax.spines[:].set_color("0.8")
    if bottom:
        ax.set_xlabel(literal(axis.label))


def _choose_extend(values: np.ndarray, norm: Normalize) -> Literal["neither", "both"]:
    """Return which ends of the colour bar are pointed, since some values lie beyond the scale."""
    return "both" if np.abs(values).max() > norm.vmax else "neither"

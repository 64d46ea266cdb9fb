"""Plots of genes that were placed on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import colors, literal

if TYPE_CHECKING:
    import anndata as ad
    from matplotlib.axes import Axes

_ONE_COLUMN = 12
"""Number of groups up to which the legend has one column."""


def place(
    placed: ad.AnnData,
    reference: ad.AnnData,
    *,
    color: str | None = None,
    key: str | None = k.EMBEDDING,
    ax: Axes | None = None,
) -> Axes:
    """Draw placed genes on the map, which is grey; a cross marks genes that are far from the map.

    Parameters
    ----------
    placed, reference
        Genes after :func:`simplechrome_tk.tl.place`, and the genes of the map that they were placed on.
    color
        Column of ``obs`` of ``placed`` with groups; by default the clusters of the map. Where ``reference`` has the
        same column, its colours in ``uns`` (``uns["<color>_colors"]``, where scanpy stores them) are used.
    key
        ``key_added`` of the map (:func:`simplechrome_tk.tl.embed`).
    ax
        Axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The map.

    Raises
    ------
    ValueError
        When one of the two has no map, or there is no such column.
    """
    keys = k.MapKeys.of(key)
    color = keys.clusters if color is None else color
    missing = [name for name, part in (("placed", placed), ("reference", reference)) if keys.umap not in part.obsm]
    if missing or color not in placed.obs:
        found = f"no column {color!r} in placed.obs"
        if missing:
            found = f"no map (obsm[{keys.umap!r}]) in {' and '.join(missing)}"
        calls = f"{keys.embed_call('reference')} and sct.tl.place(placed, reference, model)"
        msg = f"{found}: run {calls} first."
        raise ValueError(msg)
    if ax is None:
        _, ax = subplots(figsize=(5.6, 4.0), layout="constrained")
    background, xy = (np.asarray(part.obsm[keys.umap]) for part in (reference, placed))
    ax.scatter(background[:, 0], background[:, 1], s=2, color="0.87", linewidth=0, rasterized=True)
    group = placed.obs[color].astype("category").cat.remove_unused_categories()
    names = list(map(str, group.cat.categories))
    palette = _palette(reference, color, names)
    for name in names:
        x, y = xy[(group.astype(str) == name).to_numpy()].T
        ax.scatter(x, y, s=4, color=palette[name], linewidth=0, label=literal(name), rasterized=True)
    if k.PLACED_FAR in placed.obs and placed.obs[k.PLACED_FAR].any():
        far = placed.obs[k.PLACED_FAR].to_numpy()
        label = f"far from the map ({far.sum():,})"
        ax.scatter(xy[far, 0], xy[far, 1], s=14, color="0.1", marker="x", linewidth=0.7, label=label)
    ax.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    ax.set_title(f"{placed.n_obs:,} genes placed among {reference.n_obs:,} (grey)", fontsize="medium")
    ax.legend(
        title=literal(color),
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        ncols=1 if len(names) <= _ONE_COLUMN else 2,
        markerscale=2,
    )
    sns.despine(ax=ax)
    return ax


def _palette(reference: ad.AnnData, color: str, names: list[str]) -> dict[str, str]:
    """Return a colour for each group: the one that scanpy has stored for the map, or else one of this package."""
    column = reference.obs[color] if color in reference.obs else None
    categories = column.cat.categories if column is not None and hasattr(column, "cat") else []
    stored = dict(zip(map(str, categories), reference.uns.get(f"{color}_colors", ()), strict=False))
    return stored if set(names) <= set(stored) else colors(names)

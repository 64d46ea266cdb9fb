"""Genes that move between two cell types, and genes placed on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, LABEL_COLORS, colors, literal, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from matplotlib.axes import Axes

_LEGEND_AT_MOST = 12


def movement(
    adata: ad.AnnData,
    first: str,
    second: str,
    *,
    splits: Sequence[str] | None = ("test",),
    n_named: int = 10,
    state_key: str = k.STATE,
    ax: Axes | None = None,
) -> Axes:
    """Draw how far held-out genes move in the latent between two cell types, against their change in expression.

    Parameters
    ----------
    adata, first, second, splits, state_key
        As for :func:`simplechrome_tk.get.movement`, whose table is drawn.
    n_named
        How many of the genes that move furthest and whose state changes are named.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A point for each gene whose expression is known in both; at a relative distance of 1 a gene is as unlike itself
        as another gene is.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.movement`.
    """
    table = get.movement(adata, first, second, splits=splits, state_key=state_key).dropna(subset="change")
    if ax is None:
        _, ax = subplots(figsize=(5.2, 3.8), layout="constrained")
    changed = (table["from_state"].astype(str) != table["to_state"].astype(str)).to_numpy()
    for mask, color, name in ((~changed, GREY, "same state"), (changed, LABEL_COLORS["high"], "other state")):
        part = table[mask]
        label = f"{name} ({len(part):,} genes)"
        ax.scatter(
            part["change"], part["relative"], s=4, color=color, alpha=0.35, linewidth=0, label=label, rasterized=True
        )
    ax.axhline(1, color="0.3", linewidth=0.8, linestyle=":")
    for side, (_, row) in enumerate(table[changed].head(n_named).iterrows()):
        ax.annotate(
            literal(row[k.SYMBOL]),
            (row["change"], row["relative"]),
            xytext=(4, 3 if side % 2 else -3),
            textcoords="offset points",
            fontsize="x-small",
            va="center",
        )
    ax.set_ylim(bottom=0)
    what = f"change of log10({unit(adata, k.EXPRESSION) or 'expression'} + 0.1)"
    ax.set_xlabel(literal(f"{what}, {first} → {second}"))
    ax.set_ylabel("distance moved in the latent\n(1: as far as another gene)")
    ax.legend(frameon=False, markerscale=3, fontsize="small", ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    sns.despine(ax=ax)
    return ax


def placement(placed: ad.AnnData, reference: ad.AnnData, *, color: str = k.LEIDEN, ax: Axes | None = None) -> Axes:
    """Draw placed genes on the map, which is grey; a cross marks those that lie far from it.

    Parameters
    ----------
    placed, reference
        Genes after :func:`simplechrome_tk.tl.place`, and the map on which they were placed.
    color
        Column of ``obs`` of ``placed`` with groups. Where ``reference`` has the same column, its colours in ``uns``
        (``uns["<color>_colors"]``, as scanpy keeps them) are used.
    ax
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        The map.

    Raises
    ------
    ValueError
        When one of the two has no map, or there is no such column.
    """
    missing = [name for name, part in (("placed", placed), ("reference", reference)) if k.UMAP not in part.obsm]
    if missing or color not in placed.obs:
        found = f"no map in {' and '.join(missing)}" if missing else f"no column {color!r} in placed.obs"
        msg = f"{found}: run sct.tl.embed(reference, model) and sct.tl.place(placed, reference, model) first."
        raise ValueError(msg)
    if ax is None:
        _, ax = subplots(figsize=(5.6, 4.0), layout="constrained")
    known, place = (np.asarray(part.obsm[k.UMAP]) for part in (reference, placed))
    ax.scatter(known[:, 0], known[:, 1], s=2, color="0.87", linewidth=0, rasterized=True)
    group = placed.obs[color].astype("category").cat.remove_unused_categories()
    names = list(map(str, group.cat.categories))
    # Where the map has colours of its own for these groups, as scanpy keeps them, the placed genes take the same.
    of_map, kept = reference.obs.get(color), reference.uns.get(f"{color}_colors", ())
    stored = dict(zip(map(str, of_map.cat.categories), kept, strict=False)) if hasattr(of_map, "cat") else {}
    palette = stored if set(names) <= set(stored) else colors(names)
    for name in names:
        mask = (group.astype(str) == name).to_numpy()
        x, y = place[mask, 0], place[mask, 1]
        ax.scatter(x, y, s=4, color=palette[name], linewidth=0, label=literal(name), rasterized=True)
    if k.PLACED_FAR in placed.obs and placed.obs[k.PLACED_FAR].any():
        far = placed.obs[k.PLACED_FAR].to_numpy()
        ax.scatter(
            place[far, 0],
            place[far, 1],
            s=14,
            color="0.1",
            marker="x",
            linewidth=0.7,
            label=f"far from the map ({far.sum():,})",
        )
    ax.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    ax.set_title(f"{placed.n_obs:,} genes placed among {reference.n_obs:,} (grey)", fontsize="medium")
    columns = 1 if len(names) <= _LEGEND_AT_MOST else 2
    ax.legend(
        title=literal(color), loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, ncols=columns, markerscale=2
    )
    sns.despine(ax=ax)
    return ax

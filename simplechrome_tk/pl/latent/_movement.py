"""Plots of genes that move between two cell types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import seaborn as sns

from simplechrome_tk import get
from simplechrome_tk.core import keys as k
from simplechrome_tk.pl._figure import subplots
from simplechrome_tk.pl._style import GREY, LABEL_COLORS, literal, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    from matplotlib.axes import Axes


def movement(
    adata: ad.AnnData,
    first: str,
    second: str,
    *,
    splits: Sequence[str] | None = ("test",),
    n_named: int = 10,
    state_key: str = k.STATE,
    key: str | None = k.EMBEDDING,
    ax: Axes | None = None,
) -> Axes:
    """Draw how far held-out genes move in the latent space between two cell types, against their change in expression.

    Parameters
    ----------
    adata, first, second, splits, state_key, key
        As for :func:`simplechrome_tk.get.movement`, whose table is drawn.
    n_named
        Number of genes that get their name, of those whose state changes, furthest first.
    ax
        Axes to draw on; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        A point for each gene whose expression is known in both. At a relative distance of 1 a gene differs from itself
        in the other cell type as much as from another gene.

    Raises
    ------
    ValueError
        As :func:`simplechrome_tk.get.movement`.
    """
    table = get.movement(adata, first, second, splits=splits, state_key=state_key, key=key)
    table = table.dropna(subset="log_expression_change")
    if ax is None:
        _, ax = subplots(figsize=(5.2, 3.8), layout="constrained")
    changed = (table["from_state"].astype(str) != table["to_state"].astype(str)).to_numpy()
    for mask, color, name in ((~changed, GREY, "same state"), (changed, LABEL_COLORS["high"], "other state")):
        part = table[mask]
        label = f"{name} ({len(part):,} genes)"
        points = ax.scatter(part["log_expression_change"], part["relative"], s=4, color=color, label=label)
        points.set(alpha=0.35, linewidth=0, rasterized=True)
    ax.axhline(1, color="0.3", linewidth=0.8, linestyle=":")
    for side, (_, row) in enumerate(table[changed].head(n_named).iterrows()):
        # Names go up and down in turn, so that neighbouring ones overlap less.
        ax.annotate(
            literal(row[k.SYMBOL]),
            (row["log_expression_change"], row["relative"]),
            xytext=(4, 3 if side % 2 else -3),
            textcoords="offset points",
            fontsize="x-small",
            va="center",
        )
    ax.set_ylim(bottom=0)
    change = f"change of log10({unit(adata, k.EXPRESSION) or 'expression'} + 0.1)"
    ax.set_xlabel(literal(f"{change}, {first} → {second}"))
    ax.set_ylabel("distance moved in the latent\n(1: as far as another gene)")
    ax.legend(frameon=False, markerscale=3, fontsize="small", ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    sns.despine(ax=ax)
    return ax

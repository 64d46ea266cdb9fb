"""What all plots share: colours, axes along the gene."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.colors import LinearSegmentedColormap, Normalize

from simplechrome_tk.core import keys as k

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad
    import pandas as pd

GREY = "0.55"
LABEL_COLORS = {"low": "#0072B2", "high": "#D55E00"}
"""Blue and vermilion of Okabe and Ito (2008), told apart under every common colour blindness."""
UP, DOWN = LABEL_COLORS["high"], LABEL_COLORS["low"]
"""Of effects that raise and lower the prediction."""
EFFECTS = LinearSegmentedColormap.from_list("effects", [DOWN, "white", UP], N=257)  # odd: 0 is white


def colors(names: Sequence[str]) -> dict[str, str]:
    """One colour for each name: fixed for low and high, else a colour-blind palette, else evenly spaced hues."""
    if set(names) <= set(LABEL_COLORS):
        return {name: LABEL_COLORS[name] for name in names}
    palette = sns.color_palette("colorblind" if len(names) <= 10 else "husl", len(names)).as_hex()
    return dict(zip(names, palette, strict=True))


def literal(text: object) -> str:
    r"""Return a text with names in it such as matplotlib draws it, letter by letter.

    Matplotlib takes what stands between two dollar signs for mathematics, which ``$\frac{$`` is not, and leaves a label
    out of a legend where it is empty or begins with an underscore.
    """
    escaped = str(text).replace("$", r"\$")
    return f" {escaped}" if not escaped or escaped.startswith("_") else escaped


class Along(NamedTuple):
    """How positions of a region are drawn: multiplied by ``scale``, under ``label``."""

    scale: float
    label: str
    marker: str | None
    """Name of position 0 when it lies inside the region."""


def along(adata: ad.AnnData, region: str) -> Along:
    """Axis of a region: kb from its anchor, or per cent of the gene body."""
    bins = adata.var[adata.var[k.REGION].astype(str) == region]
    windows = adata.uns.get(k.WINDOWS)
    if windows is not None and region in windows.index:
        anchor = str(windows.loc[region, "anchor"])
    else:
        anchor = "body" if bins[k.START_BP].min() >= 0 and bins[k.END_BP].max() <= 1 else region
    if anchor == "body":
        return Along(100.0, "gene body, TSS to end (%)", None)
    name = {"tss": "TSS", "tes": "gene end"}.get(anchor, anchor)
    inside = bins[k.START_BP].min() < 0 < bins[k.END_BP].max()
    return Along(1e-3, f"distance from {name} (kb), 5′→3′", name if inside else None)


def bounds(adata: ad.AnnData, region: str) -> np.ndarray:
    """Edges of the bins of a region as drawn, shape ``(n_bins + 1,)``."""
    bins = adata.var[adata.var[k.REGION].astype(str) == region]
    first = bins[bins[k.MARK] == bins[k.MARK].iloc[0]]
    edges = [*first[k.START_BP].tolist(), first[k.END_BP].iloc[-1]]
    return along(adata, region).scale * np.asarray(edges, dtype=float)


def rows_of_split(table: pd.DataFrame, split: str, *, columns: Sequence[str], what: str, source: str) -> pd.DataFrame:
    """Return the rows of one split of a table that ``source`` made; what it lacks is named."""
    missing = [column for column in columns if column not in table]
    if missing:
        msg = f"{what} has no column {', '.join(missing)}; expected what {source} returns."
        raise ValueError(msg)
    rows = table[table["split"] == split]
    if not len(rows):
        found = ", ".join(map(str, table["split"].unique())) or "none"
        msg = f"{what} has no split {split!r} (found: {found}); name one of them with split."
        raise ValueError(msg)
    return rows


def unit(adata: ad.AnnData, of: str) -> str:
    """Return what reading has written to ``uns["units"]`` of ``signal`` or ``expression``; nothing where it has not."""
    return str(adata.uns.get(k.UNITS, {}).get(of, ""))


def measure(adata: ad.AnnData, layer: str | None) -> str:
    """Name the values of a layer, or of ``X``, on an axis."""
    if layer == k.SIGNAL or (layer is None and k.NORMALIZE not in adata.uns):
        return unit(adata, k.SIGNAL) or "signal"
    return "normalised signal" if layer is None else layer


def effect_norm(values: np.ndarray, *, percentile: float = 100.0) -> Normalize:
    """Scale for :data:`EFFECTS` with 0 in the middle, up to a percentile of the sizes; NaN does not count."""
    sizes = np.abs(values[~np.isnan(values)])
    largest = float(np.percentile(sizes, percentile)) if len(sizes) else 0.0
    largest = largest or float(sizes.max(initial=0.0)) or 1.0
    return Normalize(-largest, largest)


def effect_color(effect: float) -> str:
    """Colour of the sign of an effect; grey where it is written as 0."""
    return GREY if signed(effect) == "0" else UP if effect > 0 else DOWN


def signed(effect: float) -> str:
    """Write an effect with its sign and two decimals, three below 0.1, four below 0.0005; 0 where those are 0."""
    size = abs(effect)
    digits = 2 if size >= 0.0995 else 3 if size >= 0.0005 else 4
    text = f"{effect:+.{digits}f}"
    return text.replace("-", "−") if float(text) else "0"

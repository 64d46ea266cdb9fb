"""Colours, numbers and axes along the gene that all plots share."""

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
"""Blue and vermilion of Okabe and Ito (2008), distinguishable with every common colour blindness."""
STATE_COLORS = {
    "active promoter, transcribed": "#D55E00",
    "active promoter": "#E69F00",
    "bivalent": "#CC79A7",
    "transcribed": "#009E73",
    "Polycomb": "#0072B2",
    "heterochromatin": "#56B4E9",
    "enhancer-like": "#F0E442",
    "quiescent": "#595959",
}
"""Colours of Okabe and Ito (2008) for chromatin states: a state keeps its colour, whichever others are drawn."""
UP, DOWN = LABEL_COLORS["high"], LABEL_COLORS["low"]
"""Colours of effects that raise and lower the prediction."""

# An odd number of colours, so that 0 is white.
EFFECTS = LinearSegmentedColormap.from_list("effects", [DOWN, "white", UP], N=257)


def colors(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each name: those of labels or states, a colour-blind palette, or evenly spaced hues."""
    for fixed in (LABEL_COLORS, STATE_COLORS):
        if set(names) <= set(fixed):
            return {name: fixed[name] for name in names}
    palette = sns.color_palette("colorblind" if len(names) <= 10 else "husl", len(names)).as_hex()
    return dict(zip(names, palette, strict=True))


def literal(text: object) -> str:
    r"""Escape a text with names in it, so that matplotlib draws it letter by letter.

    Matplotlib reads text between two dollar signs as mathematics, and fails on ``$\frac{$``. It leaves out labels of a
    legend that are empty or begin with an underscore.
    """
    escaped = str(text).replace("$", r"\$")
    return f" {escaped}" if not escaped or escaped.startswith("_") else escaped


class Along(NamedTuple):
    """Axis along a region.

    Attributes
    ----------
    scale
        Factor from the positions in ``var`` to those on the axis.
    label
        Label of the axis.
    marker
        Name of position 0; ``None`` where that is outside the region.
    """

    scale: float
    label: str
    marker: str | None


def along(adata: ad.AnnData, region: str) -> Along:
    """Return the axis along a region: kb from its anchor, or per cent of the gene body."""
    start, end = _bins(adata, region)
    start, end = start.min(), end.max()
    # Without a record of the windows the name of the region says what it is placed by.
    windows = adata.uns.get(k.WINDOWS)
    if windows is not None and region in windows.index:
        anchor = str(windows.loc[region, "anchor"])
    else:
        anchor = "body" if start >= 0 and end <= 1 else region
    if anchor == "body":
        return Along(100.0, "gene body, TSS to end (%)", None)
    name = {"tss": "TSS", "tes": "gene end"}.get(anchor, anchor)
    return Along(1e-3, f"distance from {name} (kb), 5′→3′", name if start < 0 < end else None)


def bounds(adata: ad.AnnData, region: str) -> np.ndarray:
    """Return the edges of the bins of a region on the axis along it, ``(n_bins + 1,)``."""
    start, end = _bins(adata, region)
    # All marks of a region have the same bins.
    edges = np.unique(np.append(start, end[-1]))
    return along(adata, region).scale * edges


def _bins(adata: ad.AnnData, region: str) -> tuple[np.ndarray, np.ndarray]:
    """Return start and end of the columns of a region; a widget draws too often to read the whole layout each time."""
    inside = (adata.var[k.REGION] == region).to_numpy()
    start, end = (adata.var[column].to_numpy(float)[inside] for column in (k.START_BP, k.END_BP))
    return start, end


def rows_of_split(table: pd.DataFrame, split: str, *, columns: Sequence[str], what: str, source: str) -> pd.DataFrame:
    """Return the rows of one split of a table that errors call ``what`` and that the function ``source`` makes."""
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
    """Return the unit of ``signal`` or ``expression`` in ``uns["units"]``, or an empty text where it is not known."""
    return str(adata.uns.get(k.UNITS, {}).get(of, ""))


def measure(adata: ad.AnnData, layer: str | None) -> str:
    """Name the values of a layer, or of ``X``, on an axis."""
    if layer == k.SIGNAL or (layer is None and k.NORMALIZE not in adata.uns):
        return unit(adata, k.SIGNAL) or "signal"
    return "normalised signal" if layer is None else layer


def effect_norm(values: np.ndarray, *, percentile: float = 100.0) -> Normalize:
    """Return a scale for :data:`EFFECTS` with 0 in the middle, up to a percentile of the sizes; NaN is ignored."""
    sizes = np.abs(values[~np.isnan(values)])
    largest = float(np.percentile(sizes, percentile)) if len(sizes) else 0.0
    largest = largest or float(sizes.max(initial=0.0)) or 1.0
    return Normalize(-largest, largest)


def effect_color(effect: float) -> str:
    """Return the colour of the sign of an effect; grey where it is written as 0."""
    if signed(effect) == "0":
        return GREY
    return UP if effect > 0 else DOWN


def signed(effect: float) -> str:
    """Write an effect with its sign and two decimals, three below 0.1, four below 0.0005; 0 where those are 0."""
    size = abs(effect)
    # The limits are those at which rounding leaves two significant digits, or one.
    digits = 4
    if size >= 0.0995:
        digits = 2
    elif size >= 0.0005:
        digits = 3
    text = f"{effect:+.{digits}f}"
    return text.replace("-", "−") if float(text) else "0"


def distance(bp: float) -> str:
    """Write a signed distance in bp, kb or Mb, with two digits at least; NaN stands for another chromosome."""
    if np.isnan(bp):
        return "another chromosome"
    size = abs(bp)
    scale, unit = 1.0, "bp"
    if size >= 999.5:
        scale, unit = 1e3, "kb"
    if size >= 999_500:
        scale, unit = 1e6, "Mb"
    digits = 1 if scale > 1 and size / scale < 9.95 else 0
    text = f"{size / scale:.{digits}f}".removesuffix(".0")
    sign = {-1: "−", 0: "", 1: "+"}[int(np.sign(bp))]
    return f"{sign}{text} {unit}"

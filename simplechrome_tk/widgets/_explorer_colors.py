"""What genes on a map can be coloured by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from simplechrome_tk import _keys as k
from simplechrome_tk._levels import mark_levels
from simplechrome_tk.pl._style import colors, unit
from simplechrome_tk.pp._label import expression_truth

if TYPE_CHECKING:
    import anndata as ad

MOST_GROUPS = 60
UNKNOWN = "unknown"
_GREY = "#b8b8b8"
_FIRST = (k.LABEL, k.STATE, k.LEIDEN, k.CHROM, k.CELL_TYPE, k.SPLIT)


class Color(NamedTuple):
    """How to colour points by ``values`` ``(n_genes,)``: a colour for each category, or a scale between ``ends``."""

    values: pd.Series
    palette: dict[str, str] | list[str]
    ends: tuple[float, float] | None = None

    @property
    def groups(self) -> list[str]:
        """Names of the groups; none of what is measured."""
        return list(self.palette) if isinstance(self.palette, dict) else []


def quantities(adata: ad.AnnData) -> dict[str, pd.Series]:
    """Return what the genes differ in, by name: expression, columns of ``obs``, the level of each mark.

    Columns of ``obs`` in which more than 60 words occur, as symbols do, are left out.
    """
    found: dict[str, pd.Series] = {}
    if k.EXPRESSION in adata.obs:
        name = f"log10({unit(adata, k.EXPRESSION) or k.EXPRESSION} + 0.1)"
        found[name] = pd.Series(expression_truth(adata), index=adata.obs_names)
    rest = [name for name in adata.obs if name not in (*_FIRST, k.EXPRESSION)]
    for name in [*(name for name in _FIRST if name in adata.obs), *rest]:
        column = adata.obs[name]
        number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        if number or column.nunique() <= MOST_GROUPS:
            found[str(name)] = column.astype(float) if number else column.astype("category")
    levels = mark_levels(adata)
    return found | {f"{name} (mean log signal)": level for name, level in levels.items()}


def color(values: pd.Series) -> Color:
    """Choose colours that the colour-blind can tell apart; what is not known is grey."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.remove_unused_categories()
        names = values.cat.categories.astype(str)
        values = values.cat.rename_categories(dict(zip(values.cat.categories, names, strict=True)))
        palette = colors(list(names))
        if values.isna().any():
            values = values.cat.add_categories([UNKNOWN]).fillna(UNKNOWN)
            palette[UNKNOWN] = _GREY
        return Color(values, palette)
    known = values[np.isfinite(values)]
    low, high = (float(known.quantile(at)) for at in (0.01, 0.99)) if len(known) else (0.0, 1.0)
    if low == high:
        low, high = float(known.min()) - 0.5, float(known.max()) + 0.5
    scale = [to_hex(rgba) for rgba in colormaps["viridis"](np.linspace(0, 1, 256))]
    if len(known) == len(values):
        return Color(values, scale, (low, high))
    scale[0] = _GREY  # the lowest of 256 colours, for what is not known alone
    step = (high - low) / 255
    return Color(values.clip(lower=low).where(np.isfinite(values), low - step), scale, (low - step, high))

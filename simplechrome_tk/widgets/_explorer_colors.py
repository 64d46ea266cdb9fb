"""Colours of genes on a map: expression, columns of ``obs``, and levels of marks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.levels import mark_levels
from simplechrome_tk.pl._style import colors, unit

if TYPE_CHECKING:
    from collections.abc import Collection

    import anndata as ad

logger = logging.getLogger(__name__)

MOST_GROUPS = 60
"""Number of categories up to which a column of ``obs`` can be a colour."""
UNKNOWN = "unknown"
_BLANK = "(blank)"
"""Name of a category that has none, because a list must show something."""
_GREY = "#b8b8b8"
_FIRST = (k.LABEL, k.STATE, k.CHROM, k.SAMPLE, k.CONDITION, k.CELL_TYPE, k.SPLIT)


class Color(NamedTuple):
    """Colours of points by ``values`` ``(n_genes,)``: one for each category, or a scale between ``ends``."""

    values: pd.Series
    palette: dict[str, str] | list[str]
    ends: tuple[float, float] | None = None

    @property
    def groups(self) -> list[str]:
        """Names of the categories; none for numbers."""
        return list(self.palette) if isinstance(self.palette, dict) else []


def quantities(adata: ad.AnnData, clusters: str) -> dict[str, pd.Series]:
    """Return the values that can colour genes, by name: expression, columns of ``obs``, the level of each mark.

    ``clusters`` is the column of ``obs`` with the clusters of the map. Columns of ``obs`` with more than 60 categories,
    such as symbols, are left out, and so are columns with neither numbers nor text, such as lists; the log counts both.
    A column with the name of another quantity gets ``(obs)`` after its name.
    """
    found: dict[str, pd.Series] = {}
    too_many, left_out = [], []
    if k.EXPRESSION in adata.obs:
        try:
            truth = pd.Series(expression_truth(adata), index=adata.obs_names)
        except (TypeError, ValueError) as error:
            left_out.append(f"{k.EXPRESSION!r} ({error})")
        else:
            found[f"log10({unit(adata, k.EXPRESSION) or k.EXPRESSION} + 0.1)"] = truth
    levels = {f"{name} (mean log signal)": level for name, level in mark_levels(adata).items()}
    place = {name: number for number, name in enumerate((*_FIRST[:2], clusters, *_FIRST[2:]))}
    columns = [(name, column) for name, column in adata.obs.items() if name != k.EXPRESSION]
    for name, column in sorted(columns, key=lambda item: place.get(item[0], len(place))):
        values = _numbers_or_categories(column)
        if values is None:
            left_out.append(repr(name))
        elif isinstance(values.dtype, pd.CategoricalDtype) and len(values.cat.categories) > MOST_GROUPS:
            too_many.append(repr(name))
        else:
            found[unused(str(name), {*found, *levels})] = values
    if too_many:
        logger.info(
            "%d columns of obs have more than %d categories and cannot be colours: %s.",
            len(too_many),
            MOST_GROUPS,
            ", ".join(too_many),
        )
    if left_out:
        logger.warning(
            "%d columns of obs cannot be shown as colours and are left out: %s.", len(left_out), ", ".join(left_out)
        )
    return found | levels


def unused(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: this one, or this one with ``(obs)`` after it."""
    while name in taken:
        name += " (obs)"
    return name


def _numbers_or_categories(column: pd.Series) -> pd.Series | None:
    """Return numbers as floats, and other values as categories named by text; ``None`` where neither is possible."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        if pd.api.types.is_complex_dtype(column):
            return None
        return pd.Series(column.to_numpy(float, na_value=np.nan), index=column.index)
    if not isinstance(column.dtype, pd.CategoricalDtype):
        if not column.map(pd.api.types.is_scalar).all():
            return None
        column = column.astype("category")
    column = column.cat.remove_unused_categories()
    # Categories that have the same text, such as 1 and "1", become one.
    names = [str(name) or _BLANK for name in column.cat.categories]
    text = np.array([*names, None], dtype=object)[column.cat.codes.to_numpy()]
    values = pd.Categorical(text, categories=list(dict.fromkeys(names)), ordered=column.cat.ordered)
    return pd.Series(values, index=column.index)


def color(values: pd.Series) -> Color:
    """Choose colours; unknown values are grey."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        palette = colors(values.cat.categories.tolist())
        if values.isna().any():
            missing = UNKNOWN if UNKNOWN not in palette else f"{UNKNOWN} (missing)"
            values = values.cat.add_categories([missing]).fillna(missing)
            palette[missing] = _GREY
        return Color(values, palette)
    known = values[np.isfinite(values)]
    low, high = (float(known.quantile(at)) for at in (0.01, 0.99)) if len(known) else (0.0, 1.0)
    if low == high:
        low, high = float(known.min()) - 0.5, float(known.max()) + 0.5
    scale = [to_hex(rgba) for rgba in colormaps["viridis"](np.linspace(0, 1, 256))]
    if len(known) == len(values):
        return Color(values, scale, (low, high))
    # Unknown values get the lowest of 256 colours, which is grey, and known values all others.
    scale[0] = _GREY
    step = (high - low) / 255
    return Color(values.clip(lower=low).where(np.isfinite(values), low - step), scale, (low - step, high))

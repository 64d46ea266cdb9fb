"""Tables of genes in a form that h5ad and zarr files can store."""

from __future__ import annotations

import logging

import pandas as pd

from simplechrome_tk.core import keys as k

logger = logging.getLogger(__name__)

_STORED_AS = {
    "string": None,
    "boolean": "boolean",
    "integer": "Int64",
    "floating": float,
    "mixed-integer-float": float,
    "empty": float,
}
"""Kind of the objects in a column -> the dtype that files store; None for no conversion."""


def make_storable(genes: pd.DataFrame) -> pd.DataFrame:
    """Return a table with columns that files can store; changed and omitted columns are logged.

    A slash in a name is written as ``%2F``. Numbers and booleans with missing values get a dtype of pandas that allows
    them. Columns of dates and of mixed types become text, and columns of lists or other containers are left out.
    """
    columns, as_text, left_out = {}, [], []
    for name, column in genes.items():
        stored = _convert(column)
        if stored is None:
            left_out.append(str(name))
            continue
        if pd.api.types.is_object_dtype(stored) and not pd.api.types.infer_dtype(column, skipna=True) == "string":
            as_text.append(str(name))
        columns[k.as_column(str(name))] = stored
    renamed = [str(name) for name in genes if str(name) != k.as_column(str(name)) and str(name) not in left_out]
    if renamed:
        logger.info(
            "%d columns of genes are renamed, since files read a slash as a folder: %s.",
            len(renamed),
            ", ".join(f"{name!r} to {k.as_column(name)!r}" for name in renamed),
        )
    if as_text:
        logger.info(
            "%d columns of genes hold dates or mixed types and are kept as text: %s.", len(as_text), ", ".join(as_text)
        )
    if left_out:
        logger.warning(
            "%d columns of genes hold lists or other containers, which h5ad files cannot store, and are left out: %s. "
            "Convert them to text or numbers first.",
            len(left_out),
            ", ".join(map(repr, left_out)),
        )
    return pd.DataFrame(columns, index=genes.index)


def _convert(column: pd.Series) -> pd.Series | None:
    """Return a column as files store it; None where they cannot."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        plain = pd.api.types.infer_dtype(column.cat.categories) in {"string", "integer", "floating", "boolean", "empty"}
        return column if plain else column.cat.rename_categories(str)
    if pd.api.types.is_numeric_dtype(column) or isinstance(column.dtype, pd.StringDtype):
        return column
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in _STORED_AS:
        return column if _STORED_AS[kind] is None else column.astype(_STORED_AS[kind])
    if not column.map(pd.api.types.is_scalar).all():
        return None
    return column.astype(object).where(column.isna(), column.astype(str)).where(column.notna(), None)

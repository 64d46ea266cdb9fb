"""Tables of results that tools store in ``uns`` and plots read from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.core.require import check_data
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.write import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad


def check_table_key(adata: ad.AnnData, key: str, columns: Sequence[str]) -> None:
    """Raise ``ValueError`` when a table with these columns would replace something else in ``uns[key]``."""
    stored = adata.uns.get(key)
    if stored is not None and not (isinstance(stored, pd.DataFrame) and set(columns) <= set(stored)):
        msg = f"key_added is {key!r}, and uns[{key!r}] holds something else: choose another name."
        raise ValueError(msg)


def write_table(adata: ad.AnnData, key: str, table: pd.DataFrame | Mapping[str, pd.DataFrame | str]) -> None:
    """Store a table, or several under their names, in ``uns``; store nothing when that is interrupted."""
    if isinstance(table, pd.DataFrame):
        write_whole(adata, [], records={key: _hold_text_as_objects(table)})
        return
    held = {
        name: _hold_text_as_objects(value) if isinstance(value, pd.DataFrame) else value
        for name, value in table.items()
    }
    write_whole(adata, [], records={key: held})


def read_table(adata: ad.AnnData, key: str, columns: Sequence[str], *, call: str) -> pd.DataFrame:
    """Return the table in ``uns[key]``, or raise a ``ValueError`` that shows the ``call`` that makes it."""
    check_data(adata)
    if key not in adata.uns:
        msg = f"uns has no {key!r} (found: {shorten(adata.uns, limit=20)}): run {call} first, or name its result."
        raise ValueError(msg)
    return check_table(adata.uns[key], f"uns[{key!r}]", columns, call=call)


def check_table(table: object, name: str, columns: Sequence[str], *, call: str) -> pd.DataFrame:
    """Return a table that has these columns; raise a ``ValueError`` that shows the ``call`` that makes it."""
    if not isinstance(table, pd.DataFrame):
        msg = f"{name} is a {type(table).__name__}; expected the table of {call}: run it again."
        raise ValueError(msg)
    missing = [column for column in columns if column not in table]
    if missing:
        msg = (
            f"{name} has no column {', '.join(missing)} (found: {shorten(table, limit=20)}); expected the table of "
            f"{call}: run it again."
        )
        raise ValueError(msg)
    return table


def _hold_text_as_objects(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with text as Python strings: not every version of anndata writes the text type of pandas 3."""
    text = [name for name, column in table.items() if isinstance(column.dtype, pd.StringDtype)]
    return table.astype(dict.fromkeys(text, object))

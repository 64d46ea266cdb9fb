"""Tables of results in ``uns``: written so that files can hold them, and read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.core.require import check_data
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.write import to_change, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad


def write_tables(
    adata: ad.AnnData, key: str, result: pd.DataFrame | Mapping[str, pd.DataFrame | str], *, copy: bool
) -> ad.AnnData | None:
    """Write a table, or several under their names, to ``uns[key]``; return the changed copy with ``copy``."""
    if isinstance(result, pd.DataFrame):
        held: object = _hold_text_as_objects(result)
    else:
        held = {
            name: _hold_text_as_objects(value) if isinstance(value, pd.DataFrame) else value
            for name, value in result.items()
        }
    data = to_change(adata, copy=copy)
    write_whole(data, [], records={key: held})
    return data if copy else None


def read_table(adata: ad.AnnData, key: str, columns: Sequence[str], *, call: str) -> pd.DataFrame:
    """Return the table in ``uns[key]``, or raise as :func:`check_table` does; ``call`` is the tool that writes it."""
    check_data(adata)
    if key not in adata.uns:
        msg = f"uns has no {key!r} (found: {shorten(adata.uns)}): run {call} first, or name its result with key."
        raise ValueError(msg)
    return check_table(adata.uns[key], f"uns[{key!r}]", columns, call=call)


def check_table(table: object, name: str, columns: Sequence[str], *, call: str) -> pd.DataFrame:
    """Return the table if it has these columns, or raise a ``ValueError`` that names ``call``, which writes it."""
    if not isinstance(table, pd.DataFrame):
        msg = f"{name} is a {type(table).__name__}; expected the table that {call} writes."
        raise ValueError(msg)
    missing = [column for column in columns if column not in table]
    if missing:
        msg = (
            f"{name} has no column {', '.join(missing)} (found: {shorten(table, limit=20)}); expected what {call} "
            "writes."
        )
        raise ValueError(msg)
    return table


def _hold_text_as_objects(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with text as Python strings: not every version of anndata writes the text type of pandas 3."""
    text = [name for name, column in table.items() if isinstance(column.dtype, pd.StringDtype)]
    return table.astype(dict.fromkeys(text, object))

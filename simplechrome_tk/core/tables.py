"""Tables of results that tools store in ``uns`` and plots read from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from simplechrome_tk.core.require import check_data
from simplechrome_tk.core.write import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad


def check_table_key(adata: ad.AnnData, key: str, columns: Sequence[str]) -> None:
    """Raise ``ValueError`` when a table with these columns would replace something else in ``uns[key]``."""
    stored = adata.uns.get(key)
    if stored is not None and not (isinstance(stored, pd.DataFrame) and set(columns) <= set(stored)):
        msg = f"key_added is {key!r}, and uns[{key!r}] holds something else: choose another name."
        raise ValueError(msg)


def write_table(adata: ad.AnnData, key: str, table: pd.DataFrame) -> None:
    """Store a table in ``uns``, or nothing when that is interrupted."""
    write_whole(adata, [], records={key: table})


def read_table(adata: ad.AnnData, key: str, columns: Sequence[str], *, call: str) -> pd.DataFrame:
    """Return the table in ``uns[key]``, or raise a ``ValueError`` that shows the ``call`` that makes it."""
    check_data(adata)
    table = adata.uns.get(key)
    if table is None:
        msg = f"uns has no {key!r} (found: {', '.join(map(str, adata.uns)) or 'none'}): run {call} first."
        raise ValueError(msg)
    missing = [column for column in columns if not isinstance(table, pd.DataFrame) or column not in table]
    if missing:
        msg = f"uns[{key!r}] has no column {', '.join(missing)}; expected the table of {call}: run it again."
        raise ValueError(msg)
    return table

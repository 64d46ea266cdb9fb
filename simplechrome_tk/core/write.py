"""Write what belongs together to an AnnData: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_data, check_selectable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

ABSENT = object()
"""In place of a value: the key is to be removed."""


def to_change(adata: ad.AnnData, *, copy: bool, x: bool = False) -> ad.AnnData:
    """Return the AnnData that a function is to write to: ``adata``, or with ``copy`` a copy in memory.

    A view becomes an AnnData of its own first, so that nothing is ever written through to the AnnData behind it.

    Raises
    ------
    ValueError
        When ``adata`` is lazy, a view of a file, or, where ``x`` says that ``X`` is to be replaced, backed by a file.
    TypeError
        When it is no AnnData.
    """
    check_data(adata)
    if copy:
        return adata.to_memory() if adata.isbacked else adata.copy()
    check_selectable(adata)
    if x and adata.isbacked:
        msg = f"adata is backed by {adata.filename}, and X is to be replaced: run adata = adata.to_memory() first."
        raise ValueError(msg)
    if adata.is_view:
        adata.uns = dict(adata.uns)
    return adata


def check_key(adata: ad.AnnData, key: str, *, field: str) -> None:
    """Raise ``ValueError`` when a result named ``key`` would replace something else than a record with this field."""
    record = adata.uns.get(key)
    if key == k.SIGNAL or not (record is None or (isinstance(record, Mapping) and field in record)):
        slot = f"layers[{key!r}]" if key == k.SIGNAL else f"uns[{key!r}]"
        msg = f"key_added is {key!r}, and {slot} holds something else: choose another name."
        raise ValueError(msg)


def write_whole(adata: ad.AnnData, slots: Sequence[tuple[str, str, Any]], *, records: Mapping[str, Any]) -> None:
    """Write results and the records that say what they are, or, when that fails or is interrupted, nothing.

    The records go first and come last, so that even what cannot be undone, such as a second interrupt, leaves results
    without a record, and never results under the record of others.

    Parameters
    ----------
    adata
        What :func:`to_change` returned.
    slots
        Attribute (``"obs"``, ``"obsm"``, ``"obsp"``, ``"layers"``, ``"X"``, ``"uns"``), key (of ``"X"`` empty) and
        value of each result; :data:`ABSENT` removes what is there.
    records
        Keys and values of ``uns``; :data:`ABSENT` removes those of what no longer is.
    """
    written = [*slots, *(("uns", key, value) for key, value in records.items())]
    before = [(attribute, key, _get(adata, attribute, key)) for attribute, key, _ in written]
    try:
        _put_all(adata, written, records)
    except BaseException:
        _put_all(adata, before, records)
        raise


def _put_all(adata: ad.AnnData, slots: Sequence[tuple[str, str, Any]], records: Mapping[str, Any]) -> None:
    for key in records:
        adata.uns.pop(key, None)
    for attribute, key, value in slots:
        if attribute == "X":
            adata.X = value
        elif value is not ABSENT:
            getattr(adata, attribute)[key] = value
        elif key in getattr(adata, attribute):
            del getattr(adata, attribute)[key]


def _get(adata: ad.AnnData, attribute: str, key: str) -> Any:
    if attribute == "X":
        return adata.X
    mapping = getattr(adata, attribute)
    return mapping[key] if key in mapping else ABSENT

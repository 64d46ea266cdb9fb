"""Writing of results and their records to an AnnData, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_data, check_selectable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

ABSENT = object()
"""Value that stands for a missing key: writing it removes the key."""


def to_change(adata: ad.AnnData, *, copy: bool, x: bool = False) -> ad.AnnData:
    """Return the AnnData that a function writes to: ``adata``, or with ``copy`` a copy in memory.

    A view becomes an independent AnnData first, so that writing never reaches the AnnData that it was taken from.

    Raises
    ------
    ValueError
        When ``adata`` is lazy, a view of a file, or, with ``x=True`` (``X`` will be replaced), backed by a file.
    TypeError
        When ``adata`` is not an AnnData.
    """
    check_data(adata)
    if copy:
        return adata.to_memory() if adata.isbacked else adata.copy()
    check_selectable(adata)
    if x and adata.isbacked:
        msg = f"adata is backed by {adata.filename}, and X is to be replaced: run adata = adata.to_memory() first."
        raise ValueError(msg)
    # Assigning to a view makes anndata copy it.
    if adata.is_view:
        adata.uns = dict(adata.uns)
    return adata


def check_key(adata: ad.AnnData, key: str, *, field: str) -> None:
    """Raise ``ValueError`` when ``uns[key]`` is something else than an earlier record, which has this ``field``."""
    record = adata.uns.get(key)
    if key == k.SIGNAL or not (record is None or (isinstance(record, Mapping) and field in record)):
        slot = f"layers[{key!r}]" if key == k.SIGNAL else f"uns[{key!r}]"
        msg = f"key_added is {key!r}, and {slot} holds something else: choose another name."
        raise ValueError(msg)


def write_whole(adata: ad.AnnData, slots: Sequence[tuple[str, str, Any]], *, records: Mapping[str, Any]) -> None:
    """Write results and their records; when that fails or is interrupted, restore what was there.

    Old records are removed before, and new ones written after the results. So even a second interrupt, which stops the
    restoring, leaves results without a record, and never results with the record of others.

    Parameters
    ----------
    adata
        The AnnData that :func:`to_change` returned.
    slots
        Attribute (``"obs"``, ``"obsm"``, ``"obsp"``, ``"layers"``, ``"X"``, ``"uns"``), key (of ``"X"`` empty) and
        value of each result; the value :data:`ABSENT` removes the key.
    records
        Keys and values of ``uns``; the value :data:`ABSENT` removes the key.
    """
    written = [*slots, *(("uns", key, value) for key, value in records.items())]
    before = [(attribute, key, _get(adata, attribute, key)) for attribute, key, _ in written]
    try:
        _put_all(adata, written, records)
    except BaseException:
        _put_all(adata, before, records)
        raise


def _put_all(adata: ad.AnnData, slots: Sequence[tuple[str, str, Any]], records: Mapping[str, Any]) -> None:
    """Remove the records, and then write all slots in their order."""
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

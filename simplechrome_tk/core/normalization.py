"""The record of a normalisation, ``uns["normalize"]``, read and checked."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.values import finite_array, texts

if TYPE_CHECKING:
    import anndata as ad

Method = Literal["log1p", "quantile", "paper"]
METHODS = get_args(Method)
_NORMALIZE_AGAIN = "normalise the raw signal again (adata.X = adata.layers.pop('signal'); del adata.uns['normalize'])"
_NORMALIZE_FIRST = "run sct.pp.split_by_chromosome(adata) and sct.pp.normalize(adata) first"


def is_normalized(adata: ad.AnnData) -> bool:
    """Return whether ``X`` is normalised.

    Raises
    ------
    ValueError
        When the signal before normalisation is there without the record of the normalisation: whether ``X`` is
        normalised is unknown then.
    """
    if k.NORMALIZE not in adata.uns and k.SIGNAL in adata.layers:
        msg = (
            "layers['signal'] is there, and uns['normalize'], which says how X was normalised from it, is not: "
            "ad.concat leaves uns out by default. Concatenate with ad.concat(..., merge='same', uns_merge='same'), "
            "stack raw signal with sct.pp.stack_cell_types, or start again from the signal: "
            "adata.X = adata.layers.pop('signal')."
        )
        raise ValueError(msg)
    return k.NORMALIZE in adata.uns


def normalization(adata: ad.AnnData, *, layout: Layout | None = None, fix: str = _NORMALIZE_FIRST) -> dict[str, Any]:
    """Return the constants that ``X`` was normalised with, one for each mark in each region, in column order.

    Constants of marks and regions that were left out later, as by ``adata[:, columns]``, are left out.

    Parameters
    ----------
    adata
        Genes by bins.
    layout
        The layout of ``adata``, where the caller has read it already.
    fix
        The calls that an error recommends when nothing is normalised.

    Returns
    -------
    dict
        ``method``, and ``region``, ``mark``, ``center``, ``scale`` and, after ``method="quantile"``, ``quantiles`` and
        ``coverage``, arrays of ``(n_blocks,)`` and ``(n_blocks, n_levels)``.

    Raises
    ------
    ValueError
        When ``X`` is not normalised, or its record is lost, incomplete or for other marks or regions.
    """
    if not is_normalized(adata):
        msg = f"X is not normalised: {fix}."
        raise ValueError(msg)
    record = check_record(adata.uns[k.NORMALIZE], "uns['normalize']", fix=_NORMALIZE_AGAIN)
    table = (Layout.of(adata) if layout is None else layout).blocks
    row_of = {block: row for row, block in enumerate(zip(record["region"], record["mark"], strict=True))}
    wanted = list(zip(table["region"], table["mark"], strict=True))
    if missing := [f"{mark}:{region}" for region, mark in wanted if (region, mark) not in row_of]:
        msg = (
            f"uns['normalize'] holds no constants for {shorten(missing, limit=3)} ({len(missing)} of {len(wanted)} "
            f"marks and regions): X was normalised with other columns. {_NORMALIZE_AGAIN}."
        )
        raise ValueError(msg)
    rows = [row_of[block] for block in wanted]
    if rows == list(range(len(row_of))):
        return record
    return {key: value if key == "method" else value[rows] for key, value in record.items()}


def check_record(record: object, name: str, *, n_blocks: int | None = None, fix: str = "") -> dict[str, Any]:
    """Return the constants in a record that :func:`simplechrome_tk.pp.normalize` wrote.

    Parameters
    ----------
    record
        The record: arrays, or lists where it was read from a file. Other keys in it are left out.
    name
        Name of the record in errors.
    n_blocks
        Expected number of marks, summed over the regions; by default as many as the record has regions.
    fix
        What an error recommends.

    Returns
    -------
    dict
        ``method``, a string, and the arrays that :func:`normalization` describes.

    Raises
    ------
    ValueError
        When a constant is missing, not finite, or not one for each mark in each region.
    """
    try:
        return _read_record(record, name, n_blocks)
    except ValueError as error:
        msg = f"{str(error).removesuffix('.')}: {fix}." if fix else str(error)
        raise ValueError(msg) from None


def _read_record(record: object, name: str, n_blocks: int | None) -> dict[str, Any]:
    """Return the constants in a record, or raise a ``ValueError`` without advice."""
    if not isinstance(record, Mapping):
        msg = f"{name} is {type(record).__name__}; expected a mapping as sct.pp.normalize writes it."
        raise ValueError(msg)
    method = str(record.get("method"))
    keys = ["region", "mark", "center", "scale"]
    if method == "quantile":
        keys += ["quantiles", "coverage"]
    if missing := [key for key in ("method", *keys) if key not in record]:
        msg = f"{name} has no {', '.join(map(repr, missing))}, which sct.pp.normalize writes."
        raise ValueError(msg)
    if method not in METHODS:
        msg = f"{name} has the method {reprlib.repr(method)}; expected one of {', '.join(METHODS)}."
        raise ValueError(msg)
    constants: dict[str, Any] = {"method": method}
    for key in ("region", "mark"):
        # Versions of anndata store strings in arrays of different types. A list comes from JSON, where any value may
        # be wrong, and an array would turn numbers in it into strings.
        found = record[key] if isinstance(record[key], list) else np.asarray(record[key])
        constants[key] = np.array(texts(f"{name}[{key!r}]", found), dtype=str)
        if n_blocks is None:
            n_blocks = len(constants[key])
        if len(constants[key]) != n_blocks:
            msg = (
                f"{name}[{key!r}] holds {len(constants[key]):,} names; expected {n_blocks:,}, one for each mark in "
                "each region."
            )
            raise ValueError(msg)
    shapes = {"center": (n_blocks,), "scale": (n_blocks,), "quantiles": (n_blocks, None), "coverage": (n_blocks,)}
    for key in keys[2:]:
        constants[key] = finite_array(f"{name}[{key!r}]", record[key], shape=shapes[key])
    if not (constants["scale"] > 0).all():
        msg = f"{name}['scale'] holds {constants['scale'].min():g}; expected numbers above 0."
        raise ValueError(msg)
    return constants

"""What ``uns["normalize"]`` says of ``X``, checked, for the columns that are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks

if TYPE_CHECKING:
    import anndata as ad

Method = Literal["log1p", "quantile", "paper"]
METHODS = get_args(Method)
_ALIGNED = ("region", "mark", "center", "scale")
_OF_QUANTILES = ("quantiles", "coverage")
_AGAIN = "normalise the raw signal again (adata.X = adata.layers.pop('signal'); del adata.uns['normalize'])"
_FIRST = "run sct.pp.split_by_chromosome(adata) and sct.pp.normalize(adata) first"


def is_normalized(adata: ad.AnnData) -> bool:
    """Whether ``X`` is normalised.

    Raises
    ------
    ValueError
        When the signal before normalisation is there, and the record of the normalisation is lost: what ``X`` holds
        cannot be told then.
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


def normalization(adata: ad.AnnData, *, fix: str = _FIRST) -> dict[str, Any]:
    """Return the constants that ``X`` was normalised with, one for each mark in each region, in column order.

    Marks and regions that were left out since, as by ``adata[:, columns]``, are left out here as well.

    Parameters
    ----------
    adata
        Genes by bins.
    fix
        What to run where nothing is normalised.

    Returns
    -------
    dict
        ``method``, and ``region``, ``mark``, ``center``, ``scale`` and, after ``method="quantile"``, ``quantiles`` and
        ``coverage``, arrays of ``(n_blocks,)`` and ``(n_blocks, n_levels)``.

    Raises
    ------
    ValueError
        When ``X`` is not normalised, or the record of it is lost, incomplete or of other marks or regions.
    """
    if not is_normalized(adata):
        msg = f"X is not normalised: {fix}."
        raise ValueError(msg)
    record = checked(adata.uns[k.NORMALIZE], "uns['normalize']", fix=_AGAIN)
    table = blocks(adata)
    known = {
        pair: row for row, pair in enumerate(zip(map(str, record["region"]), map(str, record["mark"]), strict=True))
    }
    wanted = list(zip(table["region"], table["mark"], strict=True))
    if lacking := [f"{mark}:{region}" for region, mark in wanted if (region, mark) not in known]:
        msg = (
            f"uns['normalize'] holds no constants for {', '.join(lacking[:3])}{', ...' if len(lacking) > 3 else ''} "
            f"({len(lacking)} of {len(wanted)} marks and regions): X was normalised with other columns. {_AGAIN}."
        )
        raise ValueError(msg)
    rows = [known[pair] for pair in wanted]
    if rows == list(range(len(known))):
        return record
    return {key: value if key == "method" else value[rows] for key, value in record.items()}


def checked(record: object, name: str, *, fix: str) -> dict[str, Any]:
    """Return the constants in a record of a normalisation, or raise ``ValueError`` that says what is wrong with it."""
    if not isinstance(record, Mapping):
        msg = f"{name} is {type(record).__name__}; expected a mapping as sct.pp.normalize writes it: {fix}."
        raise ValueError(msg)
    needed = ("method", *_ALIGNED, *(_OF_QUANTILES if str(record.get("method")) == "quantile" else ()))
    if missing := [key for key in needed if key not in record]:
        msg = f"{name} has no {', '.join(map(repr, missing))}, which sct.pp.normalize writes: {fix}."
        raise ValueError(msg)
    constants = {key: np.asarray(record[key]) for key in needed if key != "method"}
    n_blocks = constants["region"].size
    wrong = [key for key, values in constants.items() if values.ndim == 0 or len(values) != n_blocks]
    for key in ("center", "scale", *_OF_QUANTILES):
        if key in constants and key not in wrong and not _are_numbers(constants[key], positive=key == "scale"):
            wrong.append(key)
    if str(record["method"]) not in METHODS:
        wrong.append("method")
    if wrong:
        msg = (
            f"{name} is damaged in {', '.join(map(repr, wrong))}: expected a method of {', '.join(METHODS)}, and for "
            f"each mark in each region finite numbers, those of 'scale' above 0: {fix}."
        )
        raise ValueError(msg)
    return {key: str(record[key]) if key == "method" else constants[key] for key in needed}


def _are_numbers(values: np.ndarray, *, positive: bool) -> bool:
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        return False
    return not positive or bool((values > 0).all())

"""Put marks on one scale, with constants that training genes alone decide."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from simplechrome_tk import _keys as k
from simplechrome_tk._require import blocks, split_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad
    import pandas as pd

logger = logging.getLogger(__name__)

Method = Literal["log1p", "paper"]


def normalize(
    adata: ad.AnnData,
    *,
    method: Method = "log1p",
    reference: Mapping[str, object] | None = None,
    split_key: str = k.SPLIT,
    copy: bool = False,
) -> ad.AnnData | None:
    """Normalise the signal of each mark in each region.

    Parameters
    ----------
    adata
        Genes by bins of non-negative signal.
    method
        ``"log1p"``: logarithm, then mean 0 and variance 1 of each mark in each region over all bins of the training
        genes. ``"paper"``: SimpleChrome's published scaling, each mark divided by its largest value and mapped to
        [-1, 1]; ruled by outliers (the median lands near -0.9). The publication takes the maximum over all genes; here
        it is taken over training genes, and larger values elsewhere exceed 1.
    reference
        Constants to apply instead of fitting them: ``uns["normalize"]`` of another AnnData, or
        :attr:`simplechrome_tk.SimpleChrome.normalization` of a trained model. Then no split is needed.
    split_key
        Column of ``obs`` that says which genes train.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``X`` (float32), ``layers["signal"]`` (what ``X`` was) and
        ``uns["normalize"]``: ``method`` and, aligned, ``region``, ``mark``, ``center`` and ``scale``, so that
        ``X = (f(signal) - center) / scale`` with ``f`` the logarithm or the identity.

    Raises
    ------
    ValueError
        When ``X`` is normalised already, holds missing, infinite or negative signal, or ``reference`` is for other
        marks or regions.
    """
    if method not in get_args(Method):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(Method))}."
        raise ValueError(msg)
    if "normalize" in adata.uns:
        msg = (
            "X is normalised already (uns['normalize'] is there). To start again: "
            "adata.X = adata.layers.pop('signal'); del adata.uns['normalize']."
        )
        raise ValueError(msg)
    table = blocks(adata)
    adata = adata.copy() if copy else adata
    signal = np.asarray(adata.X, dtype=np.float32)
    _check_signal(adata, signal)
    if reference is None:
        train = split_of(adata, split_key) == "train"
        if not train.any():
            msg = f"no gene has obs[{split_key!r}] == 'train'; the constants are fitted on training genes."
            raise ValueError(msg)
        center, scale = _fit(signal[train], table, method)
        constants = {
            "method": method,
            "region": table["region"].to_numpy(str),
            "mark": table["mark"].to_numpy(str),
            "center": center,
            "scale": scale,
        }
    else:
        constants = {key: reference[key] for key in ("method", "region", "mark", "center", "scale")}
        expected = list(zip(table["region"], table["mark"], strict=True))
        found = list(zip(constants["region"], constants["mark"], strict=True))
        if found != expected:
            msg = f"reference is for {found}, in this order; the data hold {expected}."
            raise ValueError(msg)
    widths = table["stop"] - table["start"]
    center_row = np.repeat(np.asarray(constants["center"], dtype=np.float32), widths)
    scale_row = np.repeat(np.asarray(constants["scale"], dtype=np.float32), widths)
    values = np.log1p(signal) if constants["method"] == "log1p" else signal.copy()
    values -= center_row
    values /= scale_row
    adata.layers[k.SIGNAL] = signal
    adata.X = values
    adata.uns["normalize"] = constants
    return adata if copy else None


def _fit(signal: np.ndarray, table: pd.DataFrame, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Center and scale of each block, shape ``(n_blocks,)`` each; a mark without any signal gets scale 1."""
    constants = []
    for start, stop in zip(table["start"], table["stop"], strict=True):
        block = signal[:, start:stop]
        if method == "paper":
            half = float(block.max()) / 2
            constants.append((half, half))
        else:
            values = np.log1p(block)
            constants.append((float(values.mean(dtype=float)), float(values.std(dtype=float))))
    center, scale = np.array(constants).T
    for i in np.flatnonzero(scale == 0):
        logger.warning("%s has one value only in region %s.", table["mark"][i], table["region"][i])
    return center, np.where(scale > 0, scale, 1.0)


def _check_signal(adata: ad.AnnData, signal: np.ndarray) -> None:
    for problem, wrong in (("missing or infinite", ~np.isfinite(signal)), ("negative", signal < 0)):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            msg = (
                f"X holds {int(wrong.sum())} {problem} values, the first for gene {adata.obs_names[row]!r} in "
                f"{adata.var_names[column]!r}; expected non-negative signal. Mend them at their source or leave out "
                "the genes."
            )
            raise ValueError(msg)

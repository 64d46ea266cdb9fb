"""Put marks on one scale, with constants that training genes alone decide."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, get_args

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import Method, checked, is_normalized
from simplechrome_tk.core.require import cell_types, split_of
from simplechrome_tk.core.write import to_change, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad
    import pandas as pd

logger = logging.getLogger(__name__)


_LEVELS = np.linspace(0.0, 1.0, 257)
_FEW_GENES = 1_000
_DENSE = 0.9  # share of covered bins beyond which a track has a background instead of zeros


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
        genes. ``"quantile"``: the same after the signal above 0 of each cell type has been given the distribution
        that the training genes have on average over their cell types, mark by mark and region by region, so that a
        model serves other cell types and pipelines. A cell type's own distribution is read from all its genes, so bring
        them all at once. A track with a background instead of zeros (a bigWig, where the training genes had peaks)
        keeps its highest bins, as many as were covered there. ``"paper"``: SimpleChrome's published scaling, each mark
        divided by its largest value and mapped to [-1, 1]; ruled by outliers (the median lands near -0.9). The
        publication takes the maximum over all genes; here it is taken over training genes, and larger values elsewhere
        exceed 1.
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
        ``X = (f(signal) - center) / scale`` with ``f`` the logarithm, after the exchange of quantiles, or the identity.
        With ``method="quantile"`` also ``coverage``, the share of bins above 0 in the training genes, and
        ``quantiles``, their signal at 257 levels from 0 to 1, shape ``(n_blocks, 257)``.

    Raises
    ------
    ValueError
        When ``X`` is normalised already, sparse, lazy or in a file (the message names the call that brings it to
        memory), holds missing, infinite or negative signal, or ``reference`` is incomplete or for other marks or
        regions.
    """
    if method not in get_args(Method):
        msg = f"method is {method!r}; choose one of {', '.join(get_args(Method))}."
        raise ValueError(msg)
    table = blocks(adata)
    if is_normalized(adata):
        msg = (
            "X is normalised already (uns['normalize'] is there). To start again: "
            "adata.X = adata.layers.pop('signal'); del adata.uns['normalize']."
        )
        raise ValueError(msg)
    adata = to_change(adata, copy=copy, x=True)
    signal = raw_signal(adata)
    if reference is None:
        train = split_of(adata, split_key) == "train"
        if not train.any():
            msg = f"no gene has obs[{split_key!r}] == 'train'; the constants are fitted on training genes."
            raise ValueError(msg)
        constants = {
            "method": method,
            "region": table["region"].to_numpy(str),
            "mark": table["mark"].to_numpy(str),
        }
        if method == "quantile":
            constants["quantiles"], constants["coverage"] = _mean_quantiles(
                signal[train], table, cell_types(adata)[train]
            )
        even = _exchange_quantiles(adata, signal, table, constants)
        constants["center"], constants["scale"] = _fit(even[train], table, method)
    else:
        constants = checked(
            reference, "reference", fix="give uns['normalize'] of another AnnData, or model.normalization"
        )
        expected = list(zip(table["region"], table["mark"], strict=True))
        found = list(zip(constants["region"], constants["mark"], strict=True))
        if found != expected:
            msg = f"reference is for {found}, in this order; the data hold {expected}."
            raise ValueError(msg)
        even = _exchange_quantiles(adata, signal, table, constants)
    slots = [("layers", k.SIGNAL, signal), ("X", "", standardize(even, table, constants))]
    write_whole(adata, slots, records={k.NORMALIZE: constants})
    return adata if copy else None


def standardize(signal: np.ndarray, table: pd.DataFrame, constants: Mapping[str, object]) -> np.ndarray:
    """Apply a normalisation's ``center`` and ``scale`` to signal ``(n_genes, n_columns)``, after any quantiles."""
    widths = table["stop"] - table["start"]
    center, scale = (np.repeat(np.asarray(constants[name], dtype=np.float32), widths) for name in ("center", "scale"))
    values = signal.copy() if constants["method"] == "paper" else np.log1p(signal)
    values -= center
    values /= scale
    return values


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


def _mean_quantiles(signal: np.ndarray, table: pd.DataFrame, cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of the signal above 0 and the share of bins that have it, in each block, means over the cell types.

    Shapes ``(n_blocks, n_levels)`` and ``(n_blocks,)``.
    """
    rows = list(cells.groupby(cells).indices.values())
    quantiles = np.zeros((len(table), len(rows), len(_LEVELS)))
    coverage = np.zeros((len(table), len(rows)))
    for block, (start, stop) in enumerate(zip(table["start"], table["stop"], strict=True)):
        for cell, genes in enumerate(rows):
            values = signal[genes, start:stop]
            covered = values[values > 0]
            coverage[block, cell] = len(covered) / values.size
            if len(covered):
                quantiles[block, cell] = np.quantile(covered, _LEVELS)
    return quantiles.mean(axis=1), coverage.mean(axis=1)


def _exchange_quantiles(
    adata: ad.AnnData, signal: np.ndarray, table: pd.DataFrame, constants: Mapping[str, object]
) -> np.ndarray:
    """Give the signal above 0 in each block of each cell type the distribution that ``constants`` hold.

    Zeros stay: how much of the genome a mark covers is biology as well as pipeline. Giving them the reference's share,
    too, cost an unseen E116 .003 of AUROC on the validation chromosomes. A track that has a background instead of zeros
    keeps its highest bins, as many as the reference has covered; the others become 0. Equal values stay equal: they get
    the mean of the reference over the levels that they span. Without quantiles in ``constants`` the signal is returned
    as it is.
    """
    if "quantiles" not in constants:
        return signal
    exchanged = np.zeros_like(signal)
    for cell, genes in cell_types(adata).groupby(cell_types(adata)).indices.items():
        if len(genes) < _FEW_GENES:
            logger.warning("%s: the distribution of each mark is read from %d genes only.", cell, len(genes))
        dense = []
        for row, quantiles, share in zip(
            table.itertuples(), np.asarray(constants["quantiles"]), np.asarray(constants["coverage"]), strict=True
        ):
            values = signal[genes, row.start : row.stop]
            covered = values > 0
            if covered.mean() > _DENSE > share:
                dense.append(f"{row.mark}:{row.region}")
                covered = values >= np.quantile(values, 1 - share)
            if not covered.any():
                continue
            integral = np.append(0.0, np.cumsum((quantiles[1:] + quantiles[:-1]) / 2 * np.diff(_LEVELS)))
            _, place, count = np.unique(values[covered], return_inverse=True, return_counts=True)
            level = np.append(0.0, np.cumsum(count)) / count.sum()
            mean = np.diff(np.interp(level, _LEVELS, integral)) / np.diff(level)
            new = np.zeros_like(values)
            new[covered] = mean[place]
            exchanged[genes, row.start : row.stop] = new
        if dense:
            logger.warning(
                "%s: %d of %d marks and regions have a background instead of zeros, such as %s; their highest bins "
                "count as covered, as many as in the training genes.",
                cell,
                len(dense),
                len(table),
                dense[0],
            )
    return exchanged


def raw_signal(adata: ad.AnnData, layer: str | None = None) -> np.ndarray:
    """Return ``X`` or a layer as float32 signal ``(n_genes, n_columns)``, or raise where it is not finite and above 0.

    What is float32 in memory already is returned without a copy.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
        signal = dense(adata, layer).astype(np.float32, copy=False)
    check_signal(adata, signal, "X" if layer is None else f"layers[{layer!r}]")
    return signal


def check_signal(adata: ad.AnnData, signal: np.ndarray, name: str) -> None:
    """Raise ``ValueError`` that counts the values that no signal can have, and names the first."""
    for problem, wrong in (("missing or infinite", ~np.isfinite(signal)), ("negative", signal < 0)):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            msg = (
                f"{name} holds {int(wrong.sum())} {problem} values, the first for gene {adata.obs_names[row]!r} in "
                f"{adata.var_names[column]!r}; expected non-negative signal. Fix them at their source or leave "
                "out the genes."
            )
            raise ValueError(msg)

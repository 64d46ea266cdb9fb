"""Normalisation of the signal, with constants that are fitted on training genes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import METHODS, Method, check_record, is_normalized
from simplechrome_tk.core.require import cell_types, split_of
from simplechrome_tk.core.write import to_change, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    import anndata as ad
    import pandas as pd

logger = logging.getLogger(__name__)

_LEVELS = np.linspace(0.0, 1.0, 257)
"""Levels of the stored quantiles: steps of 1/256, exact in binary."""

_FEW_GENES = 1_000
"""Number of genes in a cell type below which its distribution is too uncertain to go unmentioned."""

_BACKGROUND = 0.9
"""Share of bins above 0 beyond which a track has a background instead of zeros. Peaks cover far less."""


def normalize(
    adata: ad.AnnData,
    *,
    method: Method | None = None,
    reference: Mapping[str, object] | None = None,
    split_key: str = k.SPLIT,
    copy: bool = False,
) -> ad.AnnData | None:
    """Normalise the signal of each mark in each region.

    All samples and cell types share the constants of each mark, so that what differs between them before differs
    afterwards. Two conditions can be compared when this difference is biology. Which normalisation makes it so depends
    on the experiment, and :func:`qc` shows whether a mark differs everywhere by one factor:

    - *Same depth and antibody, or signal that is relative already* (fold enrichment): ``method="log1p"``.
    - *Different depth or efficiency, and most genes keep the mark*: :func:`scale_samples` with its size factors, then
      ``method="log1p"``.
    - *The total amount of the mark is believed equal, and signals are not proportional* (other pipelines or depths):
      ``method="quantile"``, which gives each sample the same distribution. A change of the total amount is lost.
    - *The total amount may change*: a spike-in, whose factors :func:`from_sample_sheet` or :func:`scale_samples`
      applies before, then ``method="log1p"``. After that ``"quantile"`` would undo them, and is an error.

    Parameters
    ----------
    adata
        Genes by bins of non-negative signal.
    method
        ``"log1p"``: logarithm, then mean 0 and variance 1 of each mark in each region over all bins of the training
        genes. ``"quantile"``: the same after quantile normalisation, so that a model can predict other cell types and
        the output of other pipelines. The signal above 0 of each mark in each region and cell type (or sample) gets
        the distribution of the training genes (the mean over their cell types). The distribution of a cell type is
        estimated from all its genes, so give all of them at once. A track with a background instead of zeros (such as
        a bigWig, for a model that was trained on peaks) keeps its highest bins, as many as the training genes have
        above 0. ``"paper"``: the scaling of the SimpleChrome publication, from 0 and the largest value of each mark to
        -1 and 1. Outliers dominate it: the median lies near -0.9. The publication takes the largest value of all
        genes, this function that of the training genes, so that other genes may exceed 1. ``None``: the method of
        ``reference``, or ``"log1p"`` without a reference.
    reference
        Constants to apply instead of fitting them: ``uns["normalize"]`` of another AnnData, or
        :attr:`simplechrome_tk.SimpleChrome.normalization` of a trained model. The data then need no split.
    split_key
        Column of ``obs`` with the split.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``X`` (float32), ``layers["signal"]`` (what ``X`` was) and
        ``uns["normalize"]``: ``method`` and, aligned, ``region``, ``mark``, ``center`` and ``scale``, so that
        ``X = (f(signal) - center) / scale``. Here ``f`` is the logarithm (for ``"quantile"``, of the matched signal)
        or, for ``"paper"``, the identity. With ``method="quantile"`` also ``coverage``, the share of bins above 0 in
        the training genes, and ``quantiles``, their signal at 257 levels from 0 to 1, shape ``(n_blocks, 257)``.

    Raises
    ------
    ValueError
        When samples were scaled by given factors (:func:`scale_samples`) and the method is ``"quantile"``, which would
        undo them; ``X`` is normalised already, sparse, lazy or in a file (the error names the call that brings it to
        memory), or holds missing, infinite or negative signal; or ``reference`` is incomplete, for other marks or
        regions, or of another method than ``method``.

    Examples
    --------
    >>> test = sct.datasets.simulate(300, rng=1)
    >>> sct.pp.normalize(test, reference=model.normalization)
    >>> test.uns["normalize"]["method"]
    'log1p'
    """
    if method is not None and method not in METHODS:
        msg = f"method is {method!r}; choose one of {', '.join(METHODS)}."
        raise ValueError(msg)
    layout = Layout.of(adata)
    if is_normalized(adata):
        msg = (
            "X is normalised already (uns['normalize'] is there). To start again: "
            "adata.X = adata.layers.pop('signal'); del adata.uns['normalize']."
        )
        raise ValueError(msg)
    fixed = None if reference is None else _constants_of(reference, layout, method=method)
    _check_scaled(adata, method if fixed is None else fixed["method"])
    adata = to_change(adata, copy=copy, x=True)
    signal = raw_signal(adata)
    if fixed is None:
        constants, even = _fit(adata, signal, layout, method=method or "log1p", split_key=split_key)
    else:
        constants = fixed
        even = _match_quantiles(adata, signal, layout, constants)
    slots = [("layers", k.SIGNAL, signal), ("X", "", standardize(even, layout, constants))]
    write_whole(adata, slots, records={k.NORMALIZE: constants})
    return adata if copy else None


def _check_scaled(adata: ad.AnnData, method: object) -> None:
    """Raise a ``ValueError`` where quantiles would undo the factors that were given for the samples."""
    if method == "quantile" and adata.uns.get(k.SCALE_SAMPLES, {}).get("method") == "given":
        msg = (
            "method is 'quantile', and the samples were scaled by given factors (uns['scale_samples']), which "
            "quantiles would undo; use method='log1p', or read the tracks without the factors."
        )
        raise ValueError(msg)


def standardize(signal: np.ndarray, layout: Layout, constants: Mapping[str, Any]) -> np.ndarray:
    """Apply ``center`` and ``scale`` of a normalisation to signal ``(n_genes, n_columns)``, after any quantiles."""
    center, scale = (layout.expand(np.asarray(constants[name], dtype=np.float32)) for name in ("center", "scale"))
    values = signal.copy() if constants["method"] == "paper" else np.log1p(signal)
    values -= center
    values /= scale
    return values


def _constants_of(reference: Mapping[str, object], layout: Layout, *, method: Method | None) -> dict[str, Any]:
    """Return the constants of a reference, after checking that they are for these columns and this method."""
    fix = "give uns['normalize'] of another AnnData, or model.normalization"
    constants = check_record(reference, "reference", fix=fix)
    if method is not None and method != constants["method"]:
        msg = (
            f"method is {method!r}, and the reference was made with method={constants['method']!r}: leave out method, "
            "to apply the reference, or reference, to fit other constants."
        )
        raise ValueError(msg)
    expected, found = (
        [f"{mark}:{region}" for region, mark in zip(table["region"], table["mark"], strict=True)]
        for table in (layout.blocks, constants)
    )
    if found != expected:
        msg = (
            f"reference is for {', '.join(found)}, in this order; the data hold {', '.join(expected)}. Select and "
            "order the columns as in the reference, or leave reference out to fit other constants."
        )
        raise ValueError(msg)
    return constants


def _fit(
    adata: ad.AnnData, signal: np.ndarray, layout: Layout, *, method: Method, split_key: str
) -> tuple[dict[str, Any], np.ndarray]:
    """Fit the constants on the training genes; also return the signal of all genes with its quantiles matched."""
    train = split_of(adata, split_key) == "train"
    if not train.any():
        msg = f"no gene has obs[{split_key!r}] == 'train'; the constants are fitted on training genes."
        raise ValueError(msg)
    constants: dict[str, Any] = {
        "method": method,
        "region": layout.blocks["region"].to_numpy(str),
        "mark": layout.blocks["mark"].to_numpy(str),
    }
    if method == "quantile":
        constants |= _fit_quantiles(signal[train], layout, cell_types(adata)[train])
    even = _match_quantiles(adata, signal, layout, constants)
    constants["center"], constants["scale"] = _fit_scale(even[train], layout, method)
    return constants, even


def _fit_scale(signal: np.ndarray, layout: Layout, method: Method) -> tuple[np.ndarray, np.ndarray]:
    """Return center and scale of each block, shape ``(n_blocks,)`` each; a mark without any signal gets scale 1."""
    constants = []
    for block in layout.blocks.itertuples():
        values = signal[:, block.start : block.stop]
        if method == "paper":
            half = float(values.max()) / 2
            constants.append((half, half))
        else:
            values = np.log1p(values)
            constants.append((float(values.mean(dtype=float)), float(values.std(dtype=float))))
    center, scale = np.array(constants).T
    for block in layout.blocks[scale == 0].itertuples():
        logger.warning("%s has one value only in region %s: check its track.", block.mark, block.region)
    return center, np.where(scale > 0, scale, 1.0)


def _fit_quantiles(signal: np.ndarray, layout: Layout, cells: pd.Series) -> dict[str, np.ndarray]:
    """Return the distribution of the signal in each block, averaged over the cell types of the training genes.

    ``quantiles`` ``(n_blocks, n_levels)`` are of the signal above 0, ``coverage`` ``(n_blocks,)`` is the share of bins
    above 0.
    """
    genes_of = list(cells.groupby(cells).indices.values())
    quantiles = np.zeros((len(layout.blocks), len(genes_of), len(_LEVELS)))
    coverage = np.zeros((len(layout.blocks), len(genes_of)))
    for i, block in enumerate(layout.blocks.itertuples()):
        for cell, genes in enumerate(genes_of):
            values = signal[genes, block.start : block.stop]
            covered = values[values > 0]
            coverage[i, cell] = len(covered) / values.size
            if len(covered):
                quantiles[i, cell] = np.quantile(covered, _LEVELS)
    return {"quantiles": quantiles.mean(axis=1), "coverage": coverage.mean(axis=1)}


def _match_quantiles(adata: ad.AnnData, signal: np.ndarray, layout: Layout, constants: Mapping[str, Any]) -> np.ndarray:
    """Give the signal above 0 in each block of each cell type the distribution in ``constants``.

    Zeros stay zero, because how much of the genome a mark covers is biology as well as pipeline: replacing them too
    cost .003 of AUROC on the validation chromosomes of E116, an unseen cell type. Without quantiles in ``constants``
    the signal is returned as it is.
    """
    if "quantiles" not in constants:
        return signal
    matched = np.zeros_like(signal)
    cells = cell_types(adata)
    for cell, genes in cells.groupby(cells).indices.items():
        if len(genes) < _FEW_GENES:
            logger.warning(
                "%s: the distribution of each mark is estimated from %d genes only; bring all genes of the cell type.",
                cell,
                len(genes),
            )
        with_background = []
        blocks = zip(layout.blocks.itertuples(), constants["quantiles"], constants["coverage"], strict=True)
        for block, quantiles, share in blocks:
            values = signal[genes, block.start : block.stop]
            covered = values > 0
            # A track with a background instead of zeros keeps its highest bins, as many as the reference has covered.
            if covered.mean() > _BACKGROUND > share:
                with_background.append(f"{block.mark}:{block.region}")
                covered = values >= np.quantile(values, 1 - share)
            if covered.any():
                new = np.zeros_like(values)
                new[covered] = _replace_by_rank(values[covered], quantiles)
                matched[genes, block.start : block.stop] = new
        if with_background:
            logger.warning(
                "%s: %d of %d marks and regions have a background instead of zeros, such as %s; their highest bins "
                "count as covered, as many as in the training genes.",
                cell,
                len(with_background),
                len(layout.blocks),
                with_background[0],
            )
    return matched


def _replace_by_rank(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """Replace each value by the value of its rank in another distribution, given by its ``quantiles`` at `_LEVELS`.

    Equal values span a range of ranks. All of them get the mean of the other distribution over this range, which is a
    difference of its integral, so that they stay equal.
    """
    integral = np.append(0.0, np.cumsum((quantiles[1:] + quantiles[:-1]) / 2 * np.diff(_LEVELS)))
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    level = np.append(0.0, np.cumsum(count)) / count.sum()
    mean = np.diff(np.interp(level, _LEVELS, integral)) / np.diff(level)
    return mean[place]


def raw_signal(adata: ad.AnnData, layer: str | None = None) -> np.ndarray:
    """Return ``X`` or a layer as float32 signal ``(n_genes, n_columns)``; raise for values that no signal can have.

    A float32 array in memory is returned without a copy.
    """
    with np.errstate(over="ignore"):  # values beyond the range of float32 become infinite
        signal = dense(adata, layer).astype(np.float32, copy=False)
    check_signal(adata, signal, "X" if layer is None else f"layers[{layer!r}]")
    return signal


def check_signal(adata: ad.AnnData, signal: np.ndarray, name: str) -> None:
    """Raise a ``ValueError`` when signal is missing, infinite or negative; it counts such values and names one."""
    for problem, wrong in (("missing or infinite", ~np.isfinite(signal)), ("negative", signal < 0)):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            msg = (
                f"{name} holds {int(wrong.sum())} {problem} values, the first for gene {adata.obs_names[row]!r} in "
                f"{adata.var_names[column]!r}; expected non-negative signal. Fix them at their source or leave "
                "out the genes."
            )
            raise ValueError(msg)

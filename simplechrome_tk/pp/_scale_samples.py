"""Factors that bring the signal of several samples to one scale."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.normalization import is_normalized
from simplechrome_tk.core.require import cell_types, gene_ids
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.values import above_zero
from simplechrome_tk.core.write import to_change, write_whole
from simplechrome_tk.pp._normalize import raw_signal
from simplechrome_tk.pp._qc_findings import FEWEST_GENES

if TYPE_CHECKING:
    from typing import TypeAlias

    import anndata as ad

    Factors: TypeAlias = pd.DataFrame | Mapping[str, float | Mapping[str, float]]

logger = logging.getLogger(__name__)


def scale_samples(adata: ad.AnnData, factors: Factors | None = None, *, copy: bool = False) -> ad.AnnData | None:
    """Multiply the signal of each sample by a factor for each mark, once and before :func:`normalize`.

    Which factor is right depends on what may differ between the samples:

    - *Depth and antibody are the same*: none. :func:`normalize` with ``method="log1p"`` shares its constants between
      samples, so that a difference of signal stays one.
    - *The depth of sequencing or the efficiency of the antibody differs, and most genes keep the mark*: size factors
      (``factors=None``). A change that nearly all genes share is removed with them.
    - *The distribution of the mark is believed to be the same, but signals are not proportional* (other pipelines):
      none here, and :func:`normalize` with ``method="quantile"``.
    - *The total amount of the mark may change*, as after the inhibition of the enzyme that sets it: factors from a
      spike-in. For reads the usual factor is a constant over the number of reads of the sample that map to the genome
      of the spike-in, the same constant for all samples. :func:`from_sample_sheet` applies the column
      ``scale_factor`` of its sheet.

    Parameters
    ----------
    adata
        Genes by bins of several samples (:func:`from_sample_sheet`) or cell types, not normalised.
    factors
        A positive factor for each sample, ``{"A1": 0.8, "A2": 1.2}``; or for each mark of it,
        ``{"A1": {"H3K27me3": 0.8}, ...}``, or as a table of samples by marks. Marks that are not named keep their
        signal. By default the size factors of Anders and Huber (2010, doi 10.1186/gb-2010-11-10-r106): over the genes
        with signal of the mark in all samples, one over the median of the ratio of the gene's mean signal in the sample
        and its geometric mean over samples.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``X`` (float32) and ``uns["scale_samples"]``: ``method`` (``"given"`` or
        ``"median_of_ratios"``) and ``factors``, a table of samples by marks.

    Raises
    ------
    ValueError
        When the signal is normalised or scaled already, or a log ratio to a control, of which no multiple has a
        meaning; a sample is missing or unknown, a mark is unknown, or a factor is not above 0; or, without factors,
        there are fewer than two samples, or fewer than 100 genes with signal of a mark in all of them.

    Examples
    --------
    >>> both = sct.datasets.simulate_conditions(300, n_replicates=1)
    >>> sct.pp.scale_samples(both, {"A1": 1.0, "B1": 2.0})
    >>> both.uns["scale_samples"]["factors"]["H3K4me3"].to_dict()
    {'A1': 1.0, 'B1': 2.0}
    """
    layout = Layout.of(adata)
    _check_unscaled(adata)
    cells = cell_types(adata)
    samples = list(dict.fromkeys(cells))
    adata = to_change(adata, copy=copy, x=True)
    signal = raw_signal(adata).copy()
    if factors is None:
        table = _size_factors(adata, signal, layout, samples)
    else:
        table = _read_factors(factors, samples, layout.marks)
    place = pd.Index(samples).get_indexer(cells)
    for mark in layout.marks:
        columns = np.flatnonzero(layout.mark == mark)
        signal[:, columns] *= table[mark].to_numpy(np.float32)[place][:, None]
    record = {
        "method": "median_of_ratios" if factors is None else "given",
        "factors": table.rename(columns=k.as_column),
    }
    write_whole(adata, [("X", "", signal)], records={k.SCALE_SAMPLES: record})
    for mark, column in table.items():
        shown = ", ".join(f"{sample} {factor:.3g}" for sample, factor in column.items())
        logger.info("scale_samples: %s multiplied by: %s.", mark, shown)
    return adata if copy else None


def _check_unscaled(adata: ad.AnnData) -> None:
    """Raise a ``ValueError`` where a factor would come too late, twice or without meaning."""
    if is_normalized(adata):
        msg = (
            "X is normalised already; samples are scaled before that. Start from the signal: "
            "adata.X = adata.layers.pop('signal'); del adata.uns['normalize']."
        )
        raise ValueError(msg)
    if k.SCALE_SAMPLES in adata.uns:
        msg = (
            "the samples are scaled already (uns['scale_samples'] holds the factors, also those of a sample sheet); "
            "expected signal as it was read. Read the tracks again without scale_factor to apply others."
        )
        raise ValueError(msg)
    if adata.uns.get(k.SUBTRACT_CONTROL, {}).get("method") == "log_ratio":
        msg = (
            "the signal is a log ratio to the control, of which no multiple has a meaning; compare with the control by "
            "control_method='subtract' before samples are scaled."
        )
        raise ValueError(msg)


def _read_factors(factors: Factors, samples: list[str], marks: list[str]) -> pd.DataFrame:
    """Return the factors as a table of all samples by all marks; raise for what is missing, unknown or not positive."""
    if isinstance(factors, pd.DataFrame):
        given = {str(sample): row.to_dict() for sample, row in factors.iterrows()}
    elif isinstance(factors, Mapping):
        given = {
            str(sample): dict(value) if isinstance(value, Mapping) else dict.fromkeys(marks, value)
            for sample, value in factors.items()
        }
    else:
        found, example = type(factors).__name__, f"{{{samples[0]!r}: 1.0}}"
        msg = f"factors is of type {found}; expected a factor for each sample, such as {example}."
        raise ValueError(msg)
    missing, unknown = [name for name in samples if name not in given], [name for name in given if name not in samples]
    if missing or unknown:
        msg = (
            f"factors lack the samples {shorten(missing)}, and name {shorten(unknown)}, which adata does not hold; "
            f"expected one for each of {shorten(samples)}."
        )
        raise ValueError(msg)
    named = {str(mark) for row in given.values() for mark in row}
    if strangers := sorted(named - set(marks)):
        msg = f"factors are for the marks {shorten(strangers)}, which adata does not hold; it holds {shorten(marks)}."
        raise ValueError(msg)
    for sample, row in given.items():
        if partly := sorted(named - set(row)):
            msg = f"factors of {sample} lack {shorten(partly)}, which others have; expected the same marks for all."
            raise ValueError(msg)
    table = {
        mark: [above_zero(f"the factor of {mark} in {name}", given[name].get(mark, 1.0)) for name in samples]
        for mark in marks
    }
    return pd.DataFrame(table, index=pd.Index(samples, dtype=object), dtype=float)


def _size_factors(adata: ad.AnnData, signal: np.ndarray, layout: Layout, samples: list[str]) -> pd.DataFrame:
    """Return size factors, samples by marks."""
    if len(samples) < 2:
        msg = f"adata holds one sample, {samples[0]!r}; expected two or more to compare, or factors."
        raise ValueError(msg)
    table = {}
    for mark in layout.marks:
        wide = levels_by_sample(adata, signal, layout, mark)
        wide = np.log(wide[(wide > 0).all(axis=1)])
        if len(wide) < FEWEST_GENES:
            msg = (
                f"{mark}: {len(wide)} genes have signal in all {len(samples)} samples; expected {FEWEST_GENES}. "
                "Give factors, or use sct.pp.normalize(adata, method='quantile')."
            )
            raise ValueError(msg)
        table[mark] = np.exp(-wide.sub(wide.mean(axis=1), axis=0).median())
    return pd.DataFrame(table).loc[samples].set_axis(pd.Index(samples, dtype=object))


def levels_by_sample(adata: ad.AnnData, signal: np.ndarray, layout: Layout, mark: str) -> pd.DataFrame:
    """Return the mean signal of a mark over its bins, genes by samples; genes that all samples have, each once."""
    columns = np.flatnonzero(layout.mark == mark)
    level = pd.Series(signal[:, columns].mean(axis=1, dtype=float), index=gene_ids(adata))
    cells = cell_types(adata).to_numpy()
    parts = {}
    for name in dict.fromkeys(cells):
        own = level[cells == name]
        parts[name] = own[~own.index.duplicated()]
    return pd.concat(parts, axis=1, join="inner")

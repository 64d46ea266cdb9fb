"""Chromatin states by name: which marks a cluster of genes has, and what that is called."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.levels import typical_levels
from simplechrome_tk.core.require import cell_types, obs_column
from simplechrome_tk.core.write import check_key, to_change, write_whole

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)

RULE = (
    ("active promoter, transcribed", ("H3K4me3", "H3K36me3")),
    ("bivalent", ("H3K4me3", "H3K27me3")),
    ("active promoter", ("H3K4me3",)),
    ("transcribed", ("H3K36me3",)),
    ("Polycomb", ("H3K27me3",)),
    ("heterochromatin", ("H3K9me3",)),
    ("enhancer-like", ("H3K4me1",)),
    ("quiescent", ()),
)
"""Names and the marks that they need, from first to last; the first that fits is taken."""

_HALF = 0.5


def name_states(adata: ad.AnnData, *, groupby: str | None = k.LEIDEN, key_added: str = k.STATE) -> None:
    """Name the chromatin state of each cluster of genes from the marks that most of its genes have.

    A gene *has* a mark where the mean of log(1 + signal), where the mark is typically found, lies above a threshold:
    the one that splits the genes of the cell type into two groups with the least variance within them. A cluster has a
    mark that half of its genes have. The names, first that fits:

    ==============================  ====================
    active promoter, transcribed    H3K4me3 and H3K36me3
    bivalent                        H3K4me3 and H3K27me3
    active promoter                 H3K4me3
    transcribed                     H3K36me3
    Polycomb                        H3K27me3
    heterochromatin                 H3K9me3
    enhancer-like                   H3K4me1
    quiescent                       none of these
    ==============================  ====================

    Parameters
    ----------
    adata
        Genes by bins.
    groupby
        Column of ``obs`` with the clusters; of several cell types, each cluster is named over all of them. ``None``
        names each gene by its own marks.
    key_added
        Name of what is written.

    Returns
    -------
    None
        Writes ``obs[key_added]``, a categorical of the names, ``obsm["mark_presence"]``, a table of genes by marks that
        tells which genes have which, and ``uns[key_added]``: ``groupby``, ``rule`` (in words, also in the log) and
        ``thresholds``, a table with the columns ``cell_type``, ``mark`` and ``threshold`` (in log(1 + signal)). A mark
        called ``A/B`` has the column ``A%2FB`` in ``obsm``, since files take a slash for a folder.

    Raises
    ------
    ValueError
        When there is no such column, or none of the marks of the rule.

    Notes
    -----
    Names after Roadmap's chromatin states (Roadmap Epigenomics Consortium 2015, doi 10.1038/nature14248), which are of
    200-bp bins, not of genes. Thresholds: Otsu 1979 (doi 10.1109/TSMC.1979.4310076).
    """
    adata = to_change(adata, copy=False)
    check_key(adata, key_added, field="rule")
    if groupby is not None:
        fix = "run sct.tl.embed(adata, model) first, or name another column with groupby"
        clusters = obs_column(adata, groupby, fix=fix).astype("category")
    levels, stretches = typical_levels(adata)
    needed = list(dict.fromkeys(mark for _, marks in RULE for mark in marks))
    known = [mark for mark in needed if mark in levels]
    if not known:
        msg = f"found marks {', '.join(levels)}; expected one of {', '.join(needed)} at least to name states by."
        raise ValueError(msg)
    if len(known) < len(needed):
        logger.info("States are named without %s.", ", ".join(mark for mark in needed if mark not in levels))
    cells = cell_types(adata).to_numpy()
    thresholds = levels[known].groupby(cells, sort=False).agg(lambda column: otsu(column.to_numpy()))
    present = levels[known] > thresholds.loc[cells].to_numpy()
    had = present if groupby is None else present.groupby(clusters, observed=False).transform("mean") >= _HALF
    state = pd.Series("", index=adata.obs_names)
    for name, marks in RULE:
        fits = (state == "") & had.reindex(columns=marks, fill_value=False).all(axis=1)
        state[fits] = name
    if groupby is not None:
        state[clusters.isna().to_numpy()] = None
    present = present.rename(columns=k.as_column)
    rule = _in_words(groupby, {mark: stretches[mark] for mark in known})
    record = {"groupby": groupby or "", "rule": rule, "thresholds": _long(thresholds)}
    named = pd.Categorical(state, categories=[name for name, _ in RULE])
    write_whole(adata, [("obs", key_added, named), ("obsm", k.MARK_PRESENCE, present)], records={key_added: record})
    counts = adata.obs[key_added].value_counts(sort=False)
    logger.info("%s", rule)
    logger.info("Genes: %s.", "; ".join(f"{name} {n}" for name, n in counts.items() if n))


def otsu(values: np.ndarray) -> float:
    """Threshold that splits values into two groups with the least variance within them; the maximum of equal ones."""
    ordered = np.sort(values)
    n = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    below, above = sums[:-1] / n, (sums[-1] - sums[:-1]) / n[::-1]
    between = n * n[::-1] * (above - below) ** 2
    between[ordered[1:] == ordered[:-1]] = 0.0
    if not len(n) or between.max() == 0:
        return float(ordered[-1])
    cut = int(between.argmax())
    return float(ordered[cut] + ordered[cut + 1]) / 2


def _long(thresholds: pd.DataFrame) -> pd.DataFrame:
    """One row for each cell type and mark: names in cells survive any file, names of columns do not."""
    table = thresholds.rename_axis(index=k.CELL_TYPE, columns=k.MARK).stack().rename("threshold").reset_index()
    return table.astype({k.CELL_TYPE: object, k.MARK: object})


def _in_words(groupby: str | None, stretches: dict[str, str]) -> str:
    places = "; ".join(f"{mark} {text}" for mark, text in stretches.items())
    names = "; ".join(f"{name}: {' and '.join(marks) or 'none of these'}" for name, marks in RULE)
    who = "A gene" if groupby is None else f"A cluster ({groupby}) with the mark on half of its genes or more"
    return (
        f"A gene has a mark where its mean log(1 + signal) exceeds the threshold of its cell type (Otsu): {places}. "
        f"{who} is named by the first that fits: {names}."
    )

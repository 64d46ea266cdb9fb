"""Quality control of tracks: whether each mark has the profile that its name implies."""

from __future__ import annotations

import logging
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout, window_anchors
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized
from simplechrome_tk.core.require import cell_types, gene_ids
from simplechrome_tk.core.write import to_change, write_whole
from simplechrome_tk.pp._blacklist import blacklist_overlap
from simplechrome_tk.pp._normalize import check_signal
from simplechrome_tk.pp._qc_findings import DUPLICATE, FEWEST_GENES, Finding, describe_duplicate
from simplechrome_tk.pp._qc_measure import Measured, measure, tss_region
from simplechrome_tk.pp._qc_samples import compare_samples

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import anndata as ad

logger = logging.getLogger(__name__)

_REASONS = {
    k.ROADMAP: {
        "duplicate_ids": "rows that repeat an id (the first is kept)",
        "unannotated": "strand or body unknown, and the windows need them",
    },
    k.FROM_TRACKS: {
        "annotation_par_copies": "pseudoautosomal copies on chrY",
        "annotation_further_loci": "further loci of an id (the first is kept)",
        "annotation_other_types": "of other types than gene_types",
        "left_out": "strand or body unknown, and the windows need them",
    },
}
"""Reader -> key in ``uns[reader]["counts"]`` -> reason why these genes were left out."""

_Found = tuple[tuple[str, ...], Finding]
"""The cell types that a finding concerns, and the finding."""


def qc(
    adata: ad.AnnData, *, blacklist: str | os.PathLike[str] | pd.DataFrame | None = None, copy: bool = False
) -> ad.AnnData | None:
    """Measure the tracks, and find marks that look dead, swapped, unoriented, duplicated or dominated by outliers.

    Of several samples (``obs["sample"]``, ``obs["condition"]``) it also compares replicates and conditions.

    The signal before normalisation is read: ``layers["signal"]`` after :func:`normalize`, otherwise ``X``. Findings are
    logged as warnings and stored; the signal does not change, and no gene is left out. :func:`simplechrome_tk.pl.qc`
    draws the result.

    Parameters
    ----------
    adata
        Genes by bins of non-negative signal; each of several cell types or samples is judged by itself, and samples are
        then compared.
    blacklist
        Regions of artefacts: a BED file (plain or gzipped), a table with ``chrom``, ``start`` and ``end`` (bp, 0-based,
        half-open), or ``"hg19"`` for ENCODE's list of that assembly, which is downloaded once. Lists of other
        assemblies are at encodeproject.org (hg38: ENCFF356LFX, mm10: ENCFF547MET). ``None`` omits this check.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obs["marks_with_signal"]`` (number of marks with signal in any bin of the
        gene), with a blacklist ``obs["blacklist_overlap"]`` (share of the base pairs in the gene's windows, overlaps
        counted once), and ``uns["qc"]``:

        ``marks``: one row per cell type (or sample, in the same column) and mark, below. ``correlations``: Spearman
        correlation over genes of the mean signal of two marks (``cell_type``, ``mark``, ``other``, ``spearman``; NaN
        for a constant mark). ``profiles``: mean signal along the window around the TSS (``cell_type``, ``mark``,
        ``strand``, ``position`` in bp, ``mean``, ``n_genes``). ``left_out``: genes that were left out when the data
        were read, if that is recorded (``reason``, ``n_genes``). ``samples``: one row per mark and pair of samples,
        with ``pearson``, the correlation over genes of log(1 + mean signal over its median) (``mark``, ``sample``,
        ``other``, ``condition``, ``other_condition``). ``conditions``: one row per mark and pair of conditions:
        ``fold``, the median over genes of the signal in ``other_condition`` over that in ``condition`` (geometric means
        over samples), and ``same_side``, the share of genes that differ in its direction, among ``n_genes``: the half
        with most of the mark of the genes with signal in all samples. Both tables are empty without samples or
        conditions. ``findings``: sentences. ``blacklist``: ``source``, ``n_regions``, ``n_genes`` with any overlap and
        ``n_genes_half`` with an overlap of half or more; empty without a blacklist.

        Columns of ``marks``: ``cell_type``, ``mark``, ``n_genes``; ``coverage``, the share of genes with signal;
        ``zeros``, the share of bins without; ``lowest``, ``median`` and ``p99`` (of the bins with signal) and
        ``highest`` value, with ``highest_gene``; ``dynamic_range``, p99 over median; ``top_share``, the share of all
        signal in the highest 0.01 % of bins; ``tss``, mean signal within 1 kb of the TSS over that 3 to 5 kb away;
        ``downstream``, mean signal 1 to 5 kb downstream of the TSS over that upstream, also ``downstream_plus`` and
        ``downstream_minus`` by strand; each with ``_low`` and ``_high``, three standard errors away on the log scale;
        ``problems``, kinds of findings, comma-separated.

    Raises
    ------
    ValueError
        When signal is missing, negative or infinite, or was not kept at normalisation; a sample is of several
        conditions; or the blacklist is empty, is not BED, or shares no chromosome name with the genes.
    DatasetUnavailableError
        When the list for ``"hg19"`` is not cached and cannot be downloaded.

    Notes
    -----
    The expected values come from seven sets of tracks of known quality: ENCODE peaks of E116, E117 and E123 (nine
    marks, 18,483 genes), -log10 p of E003 and E116 (five marks, 347 genes) and read counts of E003 and E123 (five
    marks, 592 genes). A mark is a finding when its whole interval lies outside the expected range:

    =========  =========  ============  ==============  ============
    mark       ``tss``    expected      ``downstream``  expected
    =========  =========  ============  ==============  ============
    H3K4me3    2.53-18.2  2.05 or more  1.53-2.26       1.10 or more
    H3K4me2    2.80-4.03  2.05 or more  1.51-1.73       1.10 or more
    H3K27ac    3.70-5.66  2.05 or more  1.37-1.56       1.10 or more
    H3K9ac     3.29-5.59  2.05 or more  1.42-1.71       1.10 or more
    H3K4me1    1.31-1.70  1.10-2.05     1.22-1.46       1.05 or more
    H3K79me2   1.40-1.56  1.10-2.05     1.67-1.98       1.30 or more
    H3K36me3   0.48-0.91  1.00 or less  1.26-1.61       1.12 or more
    H3K27me3   1.00-1.82  0.90-2.30     0.95-1.20       0.60-1.23
    H3K9me3    0.96-1.10  0.70-2.05     0.94-1.06       0.60-1.23
    =========  =========  ============  ==============  ============

    Other marks are only searched for problems that do not depend on the name: *dead* (one value only, or signal on less
    than 5 % of the genes; measured at least 37 %), *missing* (no signal on a chromosome where another mark has signal),
    *unoriented* (for most marks ``downstream_plus`` and ``downstream_minus`` on opposite sides of 1 and more than
    1.21-fold apart, measured at most 1.18-fold; or all genes higher upstream), *duplicated* (rank correlation above
    0.999, of two marks or of one mark in two cell types; measured at most 0.965) and *outliers* (``top_share`` above
    10 %; measured at most 1.6 %). *Swapped* are two marks that fit each other's name and not both their own, *shape* is
    a mark that does not fit its own name, and *misplaced* means that no mark does.

    None of the seven sets gives a finding, neither as it is nor as log2(1 + signal). Of 3,800 random subsets of 100 to
    500 of their genes 2 do. Below 100 genes no mark is judged. On all genes of E116, E117 and E123, these planted
    errors are found: a mark set to 0, bins of minus-strand genes in genome order, all genes reversed, shuffled bins,
    positions that are wrong by 50 kb, and 85 of the 108 exchanges of two marks. The other exchanges are among marks
    that look alike around the TSS: H3K4me3, H3K4me2, H3K27ac and H3K9ac; H3K27me3 and H3K9me3; and, in two cell types,
    H3K4me1 and H3K79me2. With a few hundred genes less is found: 29 of 40 exchanges in the other four sets. Data of
    silent genes alone look reversed, since their H3K36me3 then comes from neighbouring genes.

    Samples are compared over the genes that all of them have, 100 at least. *Exchanged* is a sample whose distance (1 -
    correlation) to the nearest sample of another condition is below .85 of that to the nearest sample of its own
    condition, over all marks, or below .7 in one mark. *Unlike* is one of three or more replicates that is twice as far
    from the others as these are from each other. *Scale* is a mark that differs between two conditions by 1.25-fold or
    more, in one direction at 95 % of the genes (measured at most 92 %, for 27 comparisons of E116, E117 and E123); it
    is *apart* when all marks do. The -log10 p of H3K4me3 of E003 and E116 (377 genes), which depends on the depth of
    sequencing, is such a mark: 6-fold at 98 % of the genes. Scale is not judged after :func:`scale_samples` with given
    factors. *Units* are samples of whole numbers beside samples of fractions. In simulated conditions (1,000 genes, two
    or three replicates, four seeds each) with 0 to 20 % of genes changed, none of these is found; two exchanged samples
    are found with 5 % changed genes or more, also in one mark, and a factor of 1.5 of one mark is found (1.25 is not).

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate()
    >>> sct.pp.qc(adata)
    >>> adata.uns["qc"]["marks"].set_index("mark")["tss"].round(1)[["H3K4me1", "H3K36me3", "H3K27me3"]].to_dict()
    {'H3K4me1': 1.4, 'H3K36me3': 0.3, 'H3K27me3': 1.3}
    >>> adata.uns["qc"]["findings"]
    []
    """
    adata = to_change(adata, copy=copy)
    signal = _raw_signal(adata)
    overlap, record = (None, {}) if blacklist is None else blacklist_overlap(adata, blacklist)
    layout = Layout.of(adata)
    cells = cell_types(adata).to_numpy(str)
    rows = {str(name): np.flatnonzero(cells == name) for name in pd.unique(cells)}
    measured = {name: measure(adata, signal, layout, at) for name, at in rows.items()}
    found: list[_Found] = [((name,), finding) for name, cell in measured.items() for finding in cell.findings()]
    found += _across_cell_types(adata, rows, measured)
    sentences = [finding.sentence for _, finding in found]
    if len(rows) > 1:
        sentences = [f"{' and '.join(names)}: {finding.sentence}" for names, finding in found]
    compared = compare_samples(adata, signal, rows, measured)
    # These sentences name their samples themselves.
    found += compared.findings
    sentences += [finding.sentence for _, finding in compared.findings]
    _report(sentences, rows, has_tss_region=tss_region(adata, layout) is not None)

    with_signal = np.empty(adata.n_obs, dtype=int)
    for name, at in rows.items():
        with_signal[at] = (measured[name].level > 0).sum(axis=1)
    slots = [("obs", k.MARKS_WITH_SIGNAL, with_signal)]
    slots += [] if overlap is None else [("obs", k.BLACKLIST_OVERLAP, overlap)]
    found_here = {
        "marks": _stack({name: _with_problems(cell.marks, name, found) for name, cell in measured.items()}),
        "correlations": _stack({name: _pairs(cell.correlation) for name, cell in measured.items()}),
        "profiles": _stack({name: cell.profiles for name, cell in measured.items()}),
        "left_out": _left_out(adata),
        "samples": compared.pairs,
        "conditions": compared.scales,
        "findings": sentences,
        "blacklist": record,
    }
    write_whole(adata, slots, records={k.QC: found_here})
    return adata if copy else None


def _report(sentences: list[str], rows: Mapping[str, np.ndarray], *, has_tss_region: bool) -> None:
    """Log the findings, and what could not be judged."""
    for sentence in sentences:
        logger.warning("qc: %s", sentence)
    for name, genes in rows.items():
        if len(genes) < FEWEST_GENES:
            prefix = f"{name}: " if len(rows) > 1 else ""
            message = "qc: %s%d genes are too few to judge marks; %d are needed."
            logger.warning(message, prefix, len(genes), FEWEST_GENES)
    if not has_tss_region:
        logger.warning(
            "qc: no window reaches 5 kb to both sides of the TSS, so that profiles are not judged; sct.pp.Window.TSS "
            "does."
        )


def _raw_signal(adata: ad.AnnData) -> np.ndarray:
    """Return the signal before normalisation, shape ``(n_genes, n_columns)``."""
    layer = k.SIGNAL if is_normalized(adata) else None
    is_missing = adata.X is None if layer is None else layer not in adata.layers
    if is_missing:
        where = "X" if layer is None else "layers['signal'], where sct.pp.normalize keeps it"
        msg = f"there is no signal before normalisation; expected it in {where}. Start from the AnnData as it was read."
        raise ValueError(msg)
    signal = dense(adata, layer)
    check_signal(adata, signal, "X" if layer is None else "layers['signal']")
    return signal


def _stack(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put tables of cell types on top of each other, named in a first column."""
    parts = []
    for name, table in tables.items():
        part = table.copy()
        part.insert(0, k.CELL_TYPE, name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _with_problems(marks: pd.DataFrame, cell: str, found: list[_Found]) -> pd.DataFrame:
    """Add the column ``problems``, the kinds of findings of a cell type."""
    problems: dict[str, list[str]] = {mark: [] for mark in marks.index}
    for cells, finding in found:
        for mark in finding.marks if cell in cells else ():
            problems[mark].append(finding.problem)
    joined = [", ".join(dict.fromkeys(problems[mark])) for mark in marks.index]
    return marks.assign(problems=joined).reset_index(names=k.MARK)


def _pairs(correlation: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each pair of marks."""
    rows = [(a, b, float(correlation.at[a, b])) for a, b in combinations(correlation.index, 2)]
    return pd.DataFrame(rows, columns=[k.MARK, "other", "spearman"])


def _across_cell_types(
    adata: ad.AnnData, rows: Mapping[str, np.ndarray], measured: Mapping[str, Measured]
) -> list[_Found]:
    """Find tracks that were given for two cell types, by their correlation over the shared genes."""
    ids = gene_ids(adata)
    levels = {cell: measured[cell].level.set_axis(ids[at]) for cell, at in rows.items()}
    found: list[_Found] = []
    for mark in next(iter(levels.values())):
        of_mark = {cell: level.loc[~level.index.duplicated(), mark] for cell, level in levels.items()}
        shared = pd.concat(of_mark, axis=1, join="inner")
        if len(rows) < 2 or len(shared) < FEWEST_GENES:
            continue
        correlation = shared.rank().corr()
        for pair in combinations(rows, 2):
            if correlation.at[pair] > DUPLICATE:
                found.append((pair, describe_duplicate(f"{mark} of both", (mark,), correlation.at[pair])))
    return found


def _left_out(adata: ad.AnnData) -> pd.DataFrame:
    """Return the numbers of genes that `sct.datasets.roadmap` or `sct.pp.from_tracks` left out, and the reasons."""
    left_out: dict[str, int] = {}
    anchors = window_anchors(adata)
    tss_alone = len(anchors) > 0 and bool((anchors == "tss").all())
    for reader, reasons in _REASONS.items():
        counts = adata.uns[reader]["counts"] if reader in adata.uns else {}
        for key, reason in reasons.items():
            # Windows around the TSS alone do not need strand and body, so that these genes were kept.
            kept = key == "unannotated" and tss_alone
            if not kept and (n := int(counts.get(key, 0))):
                left_out[reason] = n
    return pd.DataFrame({"reason": list(left_out), "n_genes": list(left_out.values())}).astype({"reason": object})

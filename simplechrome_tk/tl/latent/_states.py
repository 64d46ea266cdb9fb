"""Names of chromatin states, from the marks of clusters of genes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.levels import find_present, typical_levels
from simplechrome_tk.core.require import cell_types, obs_column
from simplechrome_tk.core.write import ABSENT, check_key, to_change, write_whole

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
"""Names of states and the marks that each needs, in order of precedence: a cluster gets the first name that fits."""

_CLUSTER_SHARE = 0.5
"""Share of the genes of a cluster that have a mark for the cluster to have it."""


def name_states(
    adata: ad.AnnData,
    *,
    groupby: str | None = k.MapKeys.of(k.EMBEDDING).clusters,
    key_added: str = k.STATE,
    copy: bool = False,
) -> ad.AnnData | None:
    """Name the chromatin state of each cluster of genes from the marks that most of its genes have.

    A gene *has* a mark when its mean of log(1 + signal), in the region where the mark is typically found, exceeds a
    threshold. The threshold is the value that splits the genes of the cell type into two groups with the least variance
    within the groups (Otsu's method). A cluster has a mark when at least half of its genes have it. It gets the first
    name that fits:

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
        Column of ``obs`` with the clusters, by default those of :func:`simplechrome_tk.tl.embed`. A cluster with genes
        of several cell types gets one name. ``None`` names each gene by its own marks.
    key_added
        Name of the column of ``obs`` and of the record in ``uns``.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. It has these slots:

        ``obs[key_added]``
            Name of the state, categorical; the names that some gene has, in the order of this table.
        ``obsm["mark_presence"]``
            Table of genes by marks, True where the gene has the mark. A mark called ``A/B`` has the column ``A%2FB``,
            because files read a slash as a folder.
        ``uns[key_added]``
            ``groupby``; ``rule``, the rule in words, which the log shows too; and ``thresholds``, a table with the
            columns ``cell_type``, ``mark`` and ``threshold`` (of log(1 + signal)).

    Raises
    ------
    ValueError
        When there is no such column, or none of the marks of the rule.

    Notes
    -----
    The names follow the chromatin states of Roadmap (Roadmap Epigenomics Consortium 2015, doi 10.1038/nature14248),
    which describe bins of 200 bp rather than genes. Thresholds: Otsu 1979 (doi 10.1109/TSMC.1979.4310076).
    """
    adata = to_change(adata, copy=copy)
    check_key(adata, key_added, field="rule")
    if groupby is not None:
        fix = "run sct.tl.embed(adata, model) first, or name another column with groupby"
        clusters = obs_column(adata, groupby, fix=fix).astype("category")
    levels, stretches = typical_levels(adata)
    needed = list(dict.fromkeys(mark for _, marks in RULE for mark in marks))
    known = [mark for mark in needed if mark in levels]
    if not known:
        msg = f"found marks {', '.join(levels)}; expected at least one of {', '.join(needed)}, which define the states."
        raise ValueError(msg)
    if len(known) < len(needed):
        missing = ", ".join(mark for mark in needed if mark not in levels)
        logger.info("States are named without %s, which the data do not have.", missing)
    cells = cell_types(adata).to_numpy()
    present, thresholds = find_present(levels[known], cells)
    has = present
    if groupby is not None:
        has = present.groupby(clusters, observed=False).transform("mean") >= _CLUSTER_SHARE
    state = pd.Series("", index=adata.obs_names)
    for name, marks in RULE:
        # A mark that the data lack is absent; a name without marks fits every gene that is left.
        fits = (state == "") & has.reindex(columns=marks, fill_value=False).all(axis=1)
        state[fits] = name
    if groupby is not None:
        state[clusters.isna().to_numpy()] = None
    present = present.rename(columns=k.as_column)
    rule = _describe_rule(groupby, {mark: stretches[mark] for mark in known})
    record = {"groupby": groupby or "", "rule": rule, "thresholds": _threshold_table(thresholds)}
    named = pd.Categorical(state, categories=[name for name, _ in RULE]).remove_unused_categories()
    write_whole(adata, [("obs", key_added, named), ("obsm", k.MARK_PRESENCE, present)], records={key_added: record})
    counts = adata.obs[key_added].value_counts(sort=False)
    logger.info("%s", rule)
    logger.info("Genes in each state: %s.", "; ".join(f"{name} {n}" for name, n in counts.items() if n))
    return adata if copy else None


def states_of_clusters(adata: ad.AnnData, clusters: str) -> tuple[list[tuple[str, str, Any]], dict[str, Any]]:
    """Return the changes that remove states named from a column of clusters that is about to be replaced.

    They are the ``slots`` and ``records`` of :func:`simplechrome_tk.core.write.write_whole`.
    """
    stale = [
        key
        for key, record in adata.uns.items()
        if isinstance(record, Mapping) and "rule" in record and record.get("groupby") == clusters
    ]
    if stale:
        logger.warning(
            "Removed %s, which sct.tl.name_states named from earlier clusters: run it again.",
            ", ".join(f"obs[{key!r}]" for key in stale),
        )
    return [("obs", key, ABSENT) for key in stale], dict.fromkeys(stale, ABSENT)


def _threshold_table(thresholds: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each cell type and mark, since files cannot hold every name as the name of a column."""
    table = thresholds.rename_axis(index=k.CELL_TYPE, columns=k.MARK).stack().rename("threshold").reset_index()
    return table.astype({k.CELL_TYPE: object, k.MARK: object})


def _describe_rule(groupby: str | None, stretches: dict[str, str]) -> str:
    places = "; ".join(f"{mark} {text}" for mark, text in stretches.items())
    names = "; ".join(f"{name}: {' and '.join(marks) or 'none of these'}" for name, marks in RULE)
    if groupby is None:
        subject = "A gene"
    else:
        subject = f"A cluster ({groupby}) has a mark when at least half of its genes have it, and"
    return (
        f"A gene has a mark when its mean log(1 + signal) exceeds the threshold of its cell type (Otsu): {places}. "
        f"{subject} gets the first name that fits: {names}."
    )

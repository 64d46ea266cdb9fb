"""Stacking of the genes of several cell types."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

import anndata as ad
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import by_cell_type
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized
from simplechrome_tk.core.reference import read_reference
from simplechrome_tk.core.require import check_selectable
from simplechrome_tk.core.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

Marks = Literal["same", "shared"]


def stack_cell_types(adatas: Mapping[str, ad.AnnData], *, marks: Marks = "same") -> ad.AnnData:
    """Stack the genes of several cell types along ``obs``, to train one model on all of them.

    Parameters
    ----------
    adatas
        Genes by bins of each cell type, with the same windows, not normalised. They are not changed.
    marks
        ``"same"`` expects the same marks in every cell type. ``"shared"`` keeps the marks that all cell types have;
        the others are left out, which is logged.

    Returns
    -------
    anndata.AnnData
        ``obs_names`` are ``gene:cell_type``, ``obs["cell_type"]`` a categorical in the order given; columns of ``obs``
        and records of ``uns`` that differ or are missing in a cell type are left out; ``uns["label_expression"]`` keeps
        the threshold of each cell type, where all were labelled by the same rule. Graphs in ``obsp`` are left out: make
        them again; they connect genes of the same cell type. ``obsm["reference_expression"]`` and its record are kept
        where all cell types have the same reference samples and none of these is a cell type of the stack; otherwise
        they are left out, which is logged.

    Raises
    ------
    ValueError
        When no cell type is given, one is normalised already or holds samples, or marks or windows differ.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> both = sct.pp.stack_cell_types({"A": adata, "B": adata})
    >>> both.n_obs, both.obs_names[0].endswith(":A")
    (600, True)
    """
    if not adatas:
        msg = "no cell types to stack; expected a mapping such as {'GM12878': adata, 'K562': other}."
        raise ValueError(msg)
    normalized = [cell for cell, adata in adatas.items() if is_normalized(adata)]
    if normalized:
        msg = (
            f"{', '.join(normalized)}: X is normalised already; stack raw signal and normalise all cell types together "
            "(adata.X = adata.layers.pop('signal'); del adata.uns['normalize'])."
        )
        raise ValueError(msg)
    for adata in adatas.values():
        check_selectable(adata)
    _check_unstacked(adatas)
    held = {cell: Layout.of(adata).marks for cell, adata in adatas.items()}
    shared = shared_marks(held, marks, what="cell types")
    parts = []
    for cell, adata in adatas.items():
        part = adata[:, adata.var[k.MARK].isin(shared)]
        part = ad.AnnData(dense(part), obs=part.obs.assign(**{k.CELL_TYPE: cell}), var=part.var, uns=dict(part.uns))
        part.obs_names = [f"{name}:{cell}" for name in part.obs_names]
        parts.append(part)
    first = parts[0].var_names
    for cell, part in zip(adatas, parts, strict=True):
        if set(part.var_names) != set(first):
            differing = sorted(set(part.var_names) ^ set(first))
            msg = (
                f"{cell} and {next(iter(adatas))} differ in {len(differing)} columns, such as {differing[0]}; expected "
                "the same windows. Bin both with the same windows."
            )
            raise ValueError(msg)
    stacked = ad.concat([part[:, first] for part in parts], merge="same", uns_merge="same")
    stacked.obs[k.CELL_TYPE] = pd.Categorical(stacked.obs[k.CELL_TYPE], categories=list(adatas))
    _gather_thresholds(stacked, adatas)
    _keep_reference(stacked, adatas)
    return stacked


def _check_unstacked(adatas: Mapping[str, ad.AnnData]) -> None:
    """Raise a ``ValueError`` for data with a column of samples, whose names of genes end in the sample already."""
    if sampled := [cell for cell, adata in adatas.items() if k.SAMPLE in adata.obs]:
        msg = (
            f"{', '.join(sampled)}: the genes are of samples already (obs['sample']); expected one row for each gene. "
            "Read all samples together with sct.pp.from_sample_sheet, whose column 'condition' can name cell types."
        )
        raise ValueError(msg)


def _keep_reference(stacked: ad.AnnData, adatas: Mapping[str, ad.AnnData]) -> None:
    """Keep expression in reference samples where all cell types have the same samples, in the order of the first."""
    stacked.uns.pop(k.REFERENCE_EXPRESSION, None)
    having = {cell: adata for cell, adata in adatas.items() if k.REFERENCE_EXPRESSION in adata.obsm}
    if not having:
        return
    again = f"obsm[{k.REFERENCE_EXPRESSION!r}] is left out: run sct.pp.add_reference_expression on the stack."
    if lacking := [cell for cell in adatas if cell not in having]:
        logger.warning("%s lack reference expression, which others have. %s", shorten(lacking), again)
        return
    references = [read_reference(adata, k.REFERENCE_EXPRESSION) for adata in adatas.values()]
    samples = references[0].samples
    differing = sorted(set().union(*(set(samples) ^ set(other.samples) for other in references)))
    # The expression of a cell type of the stack must not be read for the genes of another either: it is predicted.
    own = [name for name in samples if name in adatas]
    if differing or own:
        what = "not all cell types have" if differing else "are cell types of the stack"
        logger.warning("%s: reference samples that %s. %s", shorten(differing or own), what, again)
        return
    aligned = [values[:, [names.index(name) for name in samples]] for values, names in references]
    stacked.obsm[k.REFERENCE_EXPRESSION] = np.concatenate(aligned).astype(np.float32)
    records = [adata.uns.get(k.REFERENCE_EXPRESSION, {}) for adata in adatas.values()]
    excluded = dict.fromkeys(str(name) for record in records for name in record.get("excluded", ()))
    n_unmatched = sum(int(np.isnan(reference.values).all(axis=1).sum()) for reference in references)
    record = {"samples": samples, "excluded": list(excluded), "n_unmatched": n_unmatched}
    stacked.uns[k.REFERENCE_EXPRESSION] = record


def _gather_thresholds(stacked: ad.AnnData, adatas: Mapping[str, ad.AnnData]) -> None:
    """Keep the threshold of each cell type, under its name in the stack."""
    records = [adata.uns.get(k.LABEL_EXPRESSION, {}) for adata in adatas.values()]
    same = len({(record.get("expression_key"), record.get("threshold")) for record in records}) == 1
    if same and all(len(record.get("thresholds", ())) == 1 for record in records):
        numbers = {cell: record["thresholds"].iloc[0, 0] for cell, record in zip(adatas, records, strict=True)}
        stacked.uns[k.LABEL_EXPRESSION] = {**records[0], "thresholds": by_cell_type(numbers, "threshold")}


def shared_marks(held: Mapping[str, list[str]], marks: Marks, *, what: str) -> list[str]:
    """Return the marks that all cell types or samples (``what``) have; log the others, or raise when not allowed."""
    if marks not in get_args(Marks):
        msg = f"marks is {marks!r}; choose one of {', '.join(get_args(Marks))}."
        raise ValueError(msg)
    shared = [mark for mark in next(iter(held.values())) if all(mark in other for other in held.values())]
    extra = {cell: own for cell, own in held.items() if any(mark not in shared for mark in own)}
    if not extra:
        return shared
    differing = "; ".join(f"{cell}: {', '.join(m for m in own if m not in shared)}" for cell, own in extra.items())
    if not shared or marks == "same":
        found = f"shared by all: {', '.join(shared) or 'none'}; beyond them {differing}"
        msg = f"{what} hold different marks ({found}); expected the same. marks='shared' keeps those that all have."
        raise ValueError(msg)
    logger.info("Marks that not all %s have are left out (%s); kept: %s.", what, differing, ", ".join(shared))
    return shared

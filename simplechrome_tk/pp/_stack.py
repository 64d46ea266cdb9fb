"""Stacking of the genes of several cell types."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, get_args

import anndata as ad
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import by_cell_type
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.normalization import is_normalized
from simplechrome_tk.core.require import check_selectable

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
        them again; they connect genes of the same cell type.

    Raises
    ------
    ValueError
        When no cell type is given, one is normalised already, or marks or windows differ.

    Examples
    --------
    >>> import simplechrome_tk as sct
    >>> adata = sct.datasets.simulate(300)
    >>> both = sct.pp.stack_cell_types({"A": adata, "B": adata})
    >>> both.n_obs, both.obs_names[0].endswith(":A")
    (600, True)
    """
    if marks not in get_args(Marks):
        msg = f"marks is {marks!r}; choose one of {', '.join(get_args(Marks))}."
        raise ValueError(msg)
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
    held = {cell: Layout.of(adata).marks for cell, adata in adatas.items()}
    shared = [mark for mark in next(iter(held.values())) if all(mark in other for other in held.values())]
    extra = {cell: [mark for mark in own if mark not in shared] for cell, own in held.items()}
    _report_marks(shared, {cell: own for cell, own in extra.items() if own}, marks)
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
    return stacked


def _gather_thresholds(stacked: ad.AnnData, adatas: Mapping[str, ad.AnnData]) -> None:
    """Keep the threshold of each cell type, under its name in the stack."""
    records = [adata.uns.get(k.LABEL_EXPRESSION, {}) for adata in adatas.values()]
    same = len({(record.get("expression_key"), record.get("threshold")) for record in records}) == 1
    if same and all(len(record.get("thresholds", ())) == 1 for record in records):
        numbers = {cell: record["thresholds"].iloc[0, 0] for cell, record in zip(adatas, records, strict=True)}
        stacked.uns[k.LABEL_EXPRESSION] = {**records[0], "thresholds": by_cell_type(numbers, "threshold")}


def _report_marks(shared: list[str], extra: dict[str, list[str]], marks: Marks) -> None:
    """Log the marks that not all cell types have, or raise when these are not allowed."""
    if not extra:
        return
    differing = "; ".join(f"{cell}: {', '.join(own)}" for cell, own in extra.items())
    if not shared or marks == "same":
        found = f"shared by all: {', '.join(shared) or 'none'}; beyond them {differing}"
        msg = f"cell types hold different marks ({found}); expected the same. marks='shared' keeps those that all have."
        raise ValueError(msg)
    logger.info("Marks that not all cell types have are left out (%s); kept: %s.", differing, ", ".join(shared))

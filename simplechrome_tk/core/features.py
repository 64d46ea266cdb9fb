"""Features and targets of each gene, read from an AnnData and checked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.layout import Layout, window_anchors
from simplechrome_tk.core.matrix import as_dense, dense
from simplechrome_tk.core.require import check_data, check_unique, label_truth, obs_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)

Task = Literal["classification", "regression", "both"]

# Cross-validation has five folds, each with both classes.
_FEWEST_LABELS, _FEWEST_OF_A_CLASS = 10, 5


class LengthConstants(NamedTuple):
    """Constants by which the length of a gene, ``log10`` of bp, is standardised: ``(length - center) / scale``."""

    center: float
    scale: float


LENGTH_CONSTANTS = LengthConstants(4.33, 0.63)
"""Mean and standard deviation of ``log10`` of the length in bp, over the 18,483 genes of ``datasets.roadmap``."""


class Observed(NamedTuple):
    """Label (0, 1) and ``log10(expression + 0.1)`` of each gene, ``(n_genes,)`` each, NaN where unknown.

    The one that the task does not need is NaN for all genes.
    """

    label: np.ndarray
    log_expression: np.ndarray

    def expression_units(self, rows: np.ndarray) -> tuple[float, float]:
        """Return mean and standard deviation of the known log expression of ``rows``; 0 and 1 where none is known."""
        measured = self.log_expression[rows]
        known = measured[~np.isnan(measured)]
        return (float(known.mean()), float(known.std()) or 1.0) if len(known) else (0.0, 1.0)

    def rows_outside_test(self, split: np.ndarray) -> np.ndarray:
        """Return row numbers of the genes outside the test split with a known label or expression.

        Raises
        ------
        ValueError
            When they are fewer than ten, or have labels of one class only.
        """
        # Labels alone, expression alone, or both may be known; labels need both classes, expression nothing.
        rows = np.flatnonzero((split != "test") & (~np.isnan(self.label) | ~np.isnan(self.log_expression)))
        labels = self.label[rows]
        counts = {name: int((labels == code).sum()) for code, name in enumerate(k.LABELS)}
        if len(rows) < _FEWEST_LABELS or (0 < max(counts.values()) and min(counts.values()) < _FEWEST_OF_A_CLASS):
            msg = (
                f"{len(rows)} genes outside the test split have a label or expression "
                f"({counts['low']} low, {counts['high']} high); expected at least {_FEWEST_LABELS}, and "
                f"{_FEWEST_OF_A_CLASS} of each class. Add more labels, or predict without them."
            )
            raise ValueError(msg)
        return rows

    def rows(self, split: np.ndarray) -> dict[str, np.ndarray]:
        """Return row numbers of the training and of the validation genes with a known label or expression.

        Raises
        ------
        ValueError
            When a split has fewer than two such genes, or labels of one class only.
        """
        known = ~np.isnan(self.label) | ~np.isnan(self.log_expression)
        rows = {name: np.flatnonzero((split == name) & known) for name in ("train", "valid")}
        for name, genes in rows.items():
            found = [k.LABELS[int(code)] for code in np.unique(self.label[genes]) if not np.isnan(code)]
            if len(genes) < 2 or len(found) == 1:
                held = f"{len(genes)} genes with a label or expression" if len(found) != 1 else f"{found[0]} genes only"
                msg = (
                    f"the {name} split holds {held}; expected low and high genes. Choose other chromosomes for it with "
                    "sct.pp.split_by_chromosome, or bring more genes."
                )
                raise ValueError(msg)
        return rows


def read_features(adata: ad.AnnData, use_rep: str | None = None) -> np.ndarray:
    """Return ``X``, or ``obsm[use_rep]``, as ``(n_genes, n_features)``, after checking that all values are finite."""
    check_data(adata)
    if use_rep is not None and use_rep not in adata.obsm:
        msg = f"obsm has no {use_rep!r} (found: {', '.join(adata.obsm) or 'none'}); use_rep=None predicts from X."
        raise ValueError(msg)
    check_unique(adata)
    where = "X" if use_rep is None else f"obsm[{use_rep!r}]"
    features = dense(adata) if use_rep is None else as_dense(adata.obsm[use_rep], where)
    bad = ~np.isfinite(features)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        name = repr(adata.var_names[column]) if use_rep is None else f"column {column}"
        msg = (
            f"{where} holds {int(bad.sum())} missing or infinite values, the first for gene {adata.obs_names[row]!r} "
            f"in {name}; expected numbers. Correct them at their source, or leave out the genes."
        )
        raise ValueError(msg)
    return features


def reads_body(adata: ad.AnnData) -> bool:
    """Return whether a region is placed by the gene's body or end.

    A region whose window is not known is warned of, and taken as a window around the TSS.
    """
    regions = np.array(Layout.of(adata).regions, dtype=object)
    anchors = window_anchors(adata).reindex(regions)
    if anchors.isna().any():
        logger.warning(
            "uns['windows'] does not describe the windows of %s (ad.concat leaves uns out by default): they are taken "
            "as windows around the TSS. Concatenate with ad.concat(..., merge='same', uns_merge='same'), or copy it "
            "from the AnnData as it was read: adata.uns['windows'] = other.uns['windows'].",
            ", ".join(map(repr, regions[anchors.isna()])),
        )
    return bool((anchors.fillna("tss") != "tss").any())


def gene_length(adata: ad.AnnData, constants: LengthConstants = LENGTH_CONSTANTS) -> np.ndarray:
    """Return ``log10`` of the length of each gene in bp, standardised, float32, shape ``(n_genes,)``.

    Parameters
    ----------
    adata
        Genes with ``obs["start"]`` and ``obs["end"]``.
    constants
        Those of the model that reads the length.

    Raises
    ------
    ValueError
        When a gene's start or end is missing, or its end is not above its start.
    """
    fix = "the model reads the gene's length; store it there, or train with gene_length=False"
    start, end = (obs_numbers(adata, key, fix=fix) for key in (k.START, k.END))
    wrong = ~((end > start) & np.isfinite(end - start))
    if wrong.any():
        msg = (
            f"{int(wrong.sum())} genes have no length, such as {adata.obs_names[wrong][0]!r} (start "
            f"{start[wrong][0]:g}, end {end[wrong][0]:g}); expected start below end. Leave them out, or train with "
            "gene_length=False."
        )
        raise ValueError(msg)
    return ((np.log10(end - start) - constants.center) / constants.scale).astype(np.float32)


def one_hot(values: Sequence[str], names: Sequence[str]) -> np.ndarray:
    """Return one-hot codes of values, float32 ``(n_values, n_names)``; other values are the mean of all names."""
    known = np.array([[value == name for name in names] for value in values], dtype=np.float32)
    # Without values or names the array has no second dimension yet.
    known = known.reshape(len(values), len(names))
    known[known.sum(axis=1) == 0] = 1 / max(1, len(names))
    return known


def observe(adata: ad.AnnData, *, task: str, label_key: str, expression_key: str) -> Observed:
    """Read the labels and the expression that the task needs."""
    unknown = np.full(adata.n_obs, np.nan)
    label = unknown if task == "regression" else label_truth(adata, label_key)
    expression = unknown if task == "classification" else expression_truth(adata, expression_key)
    return Observed(label, expression)

"""Prediction of a gene from the same gene in other cell types, without its marks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.expression import expression_truth
from simplechrome_tk.core.require import cell_type_key, cell_types, gene_ids, label_truth, obs_column

if TYPE_CHECKING:
    import anndata as ad

logger = logging.getLogger(__name__)


def same_gene_mean(
    adata: ad.AnnData, others: ad.AnnData, *, label_key: str = k.LABEL, expression_key: str = k.EXPRESSION
) -> pd.DataFrame:
    """Predict each gene from its mean expression in other cell types, without its marks.

    Most genes are on, or off, in nearly all cell types. Where the marks of a cell type add information, a model that
    reads them predicts better than this mean. Nothing that was measured in the cell type of ``adata`` is read.

    Parameters
    ----------
    adata
        Genes to predict.
    others
        Genes of two or more other cell types, stacked (:func:`simplechrome_tk.pp.stack_cell_types`), with labels and
        expression. Those of held-out chromosomes are read as well; a :class:`ComparisonModel` does not read them.
    label_key
        Column of ``obs`` of ``others`` with ``low`` and ``high``.
    expression_key
        Column of ``obs`` of ``others`` with expression in linear units.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``obs_names``: ``log_expression``, the mean log expression of the gene in the other cell types, and
        ``probability`` of a high label, a logistic curve of this mean. The curve is fitted to the labels of each of the
        other cell types and the mean over the others among them. Genes that none of them has are NaN, and counted in
        the log. :func:`evaluate` scores it.

    Raises
    ------
    ValueError
        When there are fewer than two other cell types, the cell type of ``adata`` is one of them, an id repeats in a
        cell type, the two have no gene in common, or their labels are of one class.

    Examples
    --------
    >>> cells = {name: sct.datasets.simulate(300, rng=0) for name in "ABC"}
    >>> others = sct.pp.stack_cell_types({"B": cells["B"], "C": cells["C"]})
    >>> prediction = sct.evaluation.same_gene_mean(cells["A"], others)
    >>> prediction.columns.tolist()
    ['probability', 'log_expression']
    """
    expression, label = _by_gene(adata, others, label_key, expression_key)
    # The curve is fitted as it is applied: to the mean over cell types other than the one whose labels are predicted.
    rest = np.column_stack([expression.drop(columns=cell).mean(axis=1) for cell in expression])
    known = ~np.isnan(rest) & label.notna().to_numpy()
    if len(np.unique(label.to_numpy()[known])) < len(k.LABELS):
        msg = f"{known.sum()} labels of the other cell types are of one class or none; expected low and high."
        raise ValueError(msg)
    curve = LogisticRegression().fit(rest[known][:, None], label.to_numpy()[known])
    mean = expression.mean(axis=1).reindex(gene_ids(adata)).to_numpy()
    found = ~np.isnan(mean)
    if not found.any():
        msg = (
            f"none of the {adata.n_obs} genes, such as {gene_ids(adata)[0]!r}, has expression in the other cell types, "
            f"whose genes are such as {expression.index[0]!r}; expected the same gene ids."
        )
        raise ValueError(msg)
    if not found.all():
        logger.info("%d of %d genes have no expression in the other cell types.", (~found).sum(), len(found))
    probability = np.full(len(mean), np.nan)
    probability[found] = curve.predict_proba(mean[found][:, None])[:, 1]
    return pd.DataFrame({k.PROBABILITY: probability, k.LOG_EXPRESSION: mean}, index=adata.obs_names)


def _by_gene(
    adata: ad.AnnData, others: ad.AnnData, label_key: str, expression_key: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return log expression and labels (0, 1) of the other cell types, genes by cell types each."""
    key = cell_type_key(others) or k.CELL_TYPE
    cells = obs_column(others, key, fix="stack cell types with sct.pp.stack_cell_types").astype(str)
    shared = [] if cell_type_key(adata) is None else sorted(set(cells) & set(cell_types(adata)))
    if shared or cells.nunique() < 2:
        also = f", and adata holds {', '.join(shared)} as well" if shared else ""
        msg = (
            f"others holds the cell types {', '.join(cells.unique())}{also}; expected two or more, other than "
            "those of adata."
        )
        raise ValueError(msg)
    table = pd.DataFrame(
        {
            "gene": gene_ids(others),
            "cell": pd.Categorical(cells, categories=cells.unique()),
            "expression": expression_truth(others, expression_key),
            "label": label_truth(others, label_key),
        }
    )
    twice = table[table.duplicated(["gene", "cell"])]
    if len(twice):
        msg = f"{len(twice)} genes, such as {twice['gene'].iloc[0]!r}, repeat in a cell type; expected each once."
        raise ValueError(msg)
    wide = table.set_index(["gene", "cell"]).unstack("cell")
    return wide["expression"], wide["label"]

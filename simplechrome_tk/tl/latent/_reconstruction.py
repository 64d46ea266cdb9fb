"""Reconstruction of the marks from the latents, compared with principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.model_checks import check_columns, check_normalization
from simplechrome_tk.core.require import cell_types, check_order, split_of
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome

COLUMNS = (k.CELL_TYPE, k.REGION, k.MARK, "model", "mse", "r2", "n")
"""Columns of the table."""


def reconstruction(
    adata: ad.AnnData,
    model: SimpleChrome,
    *,
    reference: ad.AnnData | None = None,
    splits: Sequence[str] = ("test",),
    split_key: str = k.SPLIT,
    key_added: str = k.RECONSTRUCTION,
    copy: bool = False,
) -> ad.AnnData | None:
    """Measure how well marks are decoded from the latents, compared with as many principal components.

    Parameters
    ----------
    adata
        Genes by the model's columns, with a split.
    model
        A trained model.
    reference
        Genes on which the principal components are fitted; by default those of ``adata``, because phase 1 of the
        training reads the marks of all genes (never their labels). To test on marks that neither has seen, train on
        genes without the test split and pass these genes here.
    splits
        Splits whose genes are measured.
    split_key
        Column of ``obs`` with the split.
    key_added
        Name of the table in ``uns``.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. ``uns[key_added]`` is a table with one row for each cell type, region, mark and ``model``
        (``SimpleChrome`` or ``PCA``): ``mse`` (mean squared error of the normalised signal), ``r2`` (explained share of
        the variance over genes and bins) and ``n`` genes. :func:`simplechrome_tk.pl.reconstruction` draws it.

    Raises
    ------
    ValueError
        When no gene is in these splits, or ``reference`` has other columns, another normalisation or fewer genes than
        there are latent dimensions.

    Examples
    --------
    >>> sct.tl.reconstruction(adata, model)
    >>> adata.uns["reconstruction"]["model"].unique().tolist()
    ['SimpleChrome', 'PCA']
    """
    check_order(adata, model, "sct.tl.reconstruction(adata, model)")
    adata = to_change(adata, copy=copy)
    check_table_key(adata, key_added, COLUMNS)
    genes = np.isin(split_of(adata, split_key), list(splits))
    if not genes.any():
        msg = f"no gene has obs[{split_key!r}] in {', '.join(splits)}; name others with splits."
        raise ValueError(msg)
    latent = model.get_latent_representation(adata)
    fitted_on = adata if reference is None else reference
    check_columns(list(fitted_on.var_names), list(adata.var_names))
    check_normalization(fitted_on, model.normalization)
    n_latent = latent.shape[1]
    if fitted_on.n_obs < n_latent:
        msg = f"reference has {fitted_on.n_obs} genes; expected at least {n_latent}, one for each latent dimension."
        raise ValueError(msg)
    truth = dense(adata)[genes]
    key = model.settings.condition_key
    conditions = None if key is None else adata.obs[key].astype(str).to_numpy()[genes]
    pca = PCA(min(n_latent, adata.n_vars), svd_solver="covariance_eigh").fit(dense(fitted_on))
    decoded = {
        "SimpleChrome": model.decode(latent[genes], conditions=conditions),
        "PCA": pca.inverse_transform(pca.transform(truth)),
    }
    cells = cell_types(adata).to_numpy()[genes]
    write_table(adata, key_added, _error_table(Layout.of(adata), truth, decoded, cells))
    return adata if copy else None


def _error_table(
    layout: Layout, truth: np.ndarray, decoded: Mapping[str, np.ndarray], cells: np.ndarray
) -> pd.DataFrame:
    """Return the error of decoded signal, ``(n_genes, n_columns)`` for each model, by cell type, region and mark."""
    rows = []
    for cell in dict.fromkeys(cells):
        for block in layout.blocks.itertuples():
            where = np.ix_(cells == cell, np.arange(block.start, block.stop))
            variance = truth[where].var(dtype=float)
            for name, values in decoded.items():
                error = float(np.square(values[where] - truth[where]).mean(dtype=float))
                explained = 1 - error / variance if variance else np.nan
                rows.append((cell, block.region, block.mark, name, error, explained, int((cells == cell).sum())))
    return pd.DataFrame(rows, columns=list(COLUMNS))

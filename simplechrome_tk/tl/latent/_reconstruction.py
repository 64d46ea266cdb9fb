"""How well marks are decoded from the latent, beside principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.matrix import dense
from simplechrome_tk.core.model_checks import check_columns, check_normalization
from simplechrome_tk.core.require import cell_types, check_order, split_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome


def reconstruction(
    adata: ad.AnnData,
    model: SimpleChrome,
    *,
    reference: ad.AnnData | None = None,
    splits: Sequence[str] = ("test",),
    split_key: str = k.SPLIT,
) -> pd.DataFrame:
    """Measure how well marks are decoded from the latent, beside principal components of equal number.

    Parameters
    ----------
    model
        A trained model.
    adata
        Genes by the model's columns, split.
    reference
        Genes on which the principal components are fitted; those of ``adata`` by default, as phase 1 of the training
        reads the marks of all genes, labels aside. For marks that neither has seen, train on genes without the test
        split and give these here.
    splits
        Which genes to measure on.
    split_key
        Column of ``obs``.

    Returns
    -------
    pandas.DataFrame
        One row per cell type, region, mark and ``model`` (``SimpleChrome``, ``PCA``): ``mse`` (mean squared error of
        the normalised signal), ``r2`` (share of the variance over genes and bins that is explained) and ``n`` genes.

    Raises
    ------
    ValueError
        When no gene is of these splits, or ``reference`` has other columns, another normalisation or fewer genes than
        dimensions.
    """
    check_order(adata, model, "sct.tl.reconstruction(adata, model)")
    genes = np.isin(split_of(adata, split_key), list(splits))
    if not genes.any():
        msg = f"no gene has obs[{split_key!r}] in {', '.join(splits)}; name others with splits."
        raise ValueError(msg)
    latent = model.get_latent_representation(adata)
    known = adata if reference is None else reference
    check_columns(list(known.var_names), list(adata.var_names))
    check_normalization(known, model.normalization)
    n_latent = latent.shape[1]
    if known.n_obs < n_latent:
        msg = f"reference has {known.n_obs} genes; expected {n_latent} at least, one for each latent dimension."
        raise ValueError(msg)
    truth = dense(adata)[genes]
    key = model.settings.condition_key
    conditions = None if key is None else adata.obs[key].astype(str).to_numpy()[genes]
    pca = PCA(min(n_latent, adata.n_vars), svd_solver="covariance_eigh").fit(dense(known))
    decoded = {
        "SimpleChrome": model.decode(latent[genes], conditions=conditions),
        "PCA": pca.inverse_transform(pca.transform(truth)),
    }
    rows = []
    cells = cell_types(adata).to_numpy()[genes]
    for cell in dict.fromkeys(cells):
        for block in blocks(adata).itertuples():
            where = np.ix_(cells == cell, np.arange(block.start, block.stop))
            spread = truth[where].var(dtype=float)
            for name, values in decoded.items():
                error = float(np.square(values[where] - truth[where]).mean(dtype=float))
                share = 1 - error / spread if spread else np.nan
                rows.append((cell, block.region, block.mark, name, error, share, int((cells == cell).sum())))
    return pd.DataFrame(rows, columns=[k.CELL_TYPE, k.REGION, k.MARK, "model", "mse", "r2", "n"])

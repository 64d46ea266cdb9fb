"""Latent dimensions in use, and collapsed ones."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk import nn
from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_order
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change
from simplechrome_tk.model._latents import check_latents

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome

logger = logging.getLogger(__name__)

COLUMNS = ("dimension", "variance", "noise", "kl", "active")
"""Columns of the table."""
_ACTIVE = 0.01
"""Variance of the latent means above which a dimension is active (Burda et al. 2016)."""


def latent_dimensions(
    adata: ad.AnnData, model: SimpleChrome, *, key_added: str = k.LATENT_DIMENSIONS, copy: bool = False
) -> ad.AnnData | None:
    """Measure which latent dimensions are in use; the log names those that are not.

    Parameters
    ----------
    adata
        Genes by the model's columns, normalised with the model's constants.
    model
        A trained model; of an ensemble, its first network is measured.
    key_added
        Name of the table in ``uns``.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. ``uns[key_added]`` is a table with one row for each dimension: ``dimension``,
        ``variance`` of the latent means over genes, ``noise`` (mean variance of the latent of one gene), ``kl`` (mean
        divergence from the standard normal, in nats) and ``active``: whether ``variance`` exceeds 0.01.
        :func:`simplechrome_tk.pl.latent_dimensions` draws it.

    Raises
    ------
    ValueError
        When the latents are missing or the same for all genes.

    Notes
    -----
    A collapsed dimension does not distinguish genes: its posterior is the prior (Bowman et al. 2016, arXiv 1511.06349).
    The measure and its threshold are those of Burda et al. 2016 (arXiv 1509.00519).

    Examples
    --------
    >>> sct.tl.latent_dimensions(adata, model)
    >>> adata.uns["latent_dimensions"]["dimension"].tolist()
    [0, 1, 2, 3]
    """
    check_order(adata, model, "sct.tl.latent_dimensions(adata, model)")
    adata = to_change(adata, copy=copy)
    check_table_key(adata, key_added, COLUMNS)
    latent = nn.encode(model.module.first, model.read(adata).x)
    mean = latent.mean.cpu().numpy()
    check_latents(adata, mean, "the model's latent")
    variance = mean.var(axis=0, dtype=float)
    table = pd.DataFrame(
        {
            "dimension": np.arange(mean.shape[1]),
            "variance": variance,
            "noise": latent.log_var.exp().mean(dim=0).cpu().numpy(),
            "kl": latent.kl().mean(dim=0).cpu().numpy(),
            "active": variance > _ACTIVE,
        }
    )
    write_table(adata, key_added, table)
    _log(table)
    return adata if copy else None


def _log(table: pd.DataFrame) -> None:
    collapsed = table.loc[~table["active"], "dimension"]
    logger.log(
        logging.WARNING if len(collapsed) else logging.INFO,
        "%d of %d latent dimensions are active (variance of the means above %g)%s.",
        len(table) - len(collapsed),
        len(table),
        _ACTIVE,
        f"; collapsed: {', '.join(map(str, collapsed))}" if len(collapsed) else "",
    )

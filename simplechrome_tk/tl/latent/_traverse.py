"""Traversals of latent dimensions: the marks that the decoder gives along each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import Layout
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.core.tables import check_table_key, write_table
from simplechrome_tk.core.write import to_change
from simplechrome_tk.model._latents import model_latents

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.core.require import Genes
    from simplechrome_tk.model._simplechrome import SimpleChrome

COLUMNS = ("dimension", "quantile", "value", k.REGION, k.MARK, "position", "log_signal")
"""Columns of the table."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Points of a traversal: quantiles of the dimension over all genes."""


def traverse(
    adata: ad.AnnData,
    model: SimpleChrome,
    *,
    dimensions: Sequence[int] | None = None,
    genes: Genes = None,
    key: str | None = k.EMBEDDING,
    key_added: str = k.TRAVERSE,
    copy: bool = False,
) -> ad.AnnData | None:
    """Decode the marks while one latent dimension goes from low to high and the others stay at their mean.

    Parameters
    ----------
    adata
        Genes with a map (:func:`simplechrome_tk.tl.embed`).
    model
        The model that computed the latents.
    dimensions
        Numbers of the dimensions; ``None`` takes all.
    genes
        Names, symbols or a mask of genes whose mean latent is the starting point; ``None`` takes all genes.
    key
        ``key_added`` of the map whose latents are read.
    key_added
        Name of the table in ``uns``.
    copy
        Return a changed copy instead of writing to ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. ``uns[key_added]`` is a table with one row for each dimension, step and bin:
        ``dimension``, ``quantile`` (.05, .25, .5, .75 and .95 of the genes of ``adata``), ``value`` (of the latent at
        this quantile), ``region``, ``mark``, ``position`` (middle of the bin, in the unit of ``var``) and
        ``log_signal``. :func:`simplechrome_tk.pl.traverse` draws it.

    Raises
    ------
    ValueError
        When the latents are missing or of another model, or there is no such dimension.

    Notes
    -----
    The decoder predicts the mean of the *logarithm* of the signal. ``log_signal`` is log(1 + signal), and its
    exponential is closer to a median than to a mean. A model with quantile normalisation decodes signal on the scale of
    its training data.

    Examples
    --------
    >>> sct.tl.embed(adata, model)
    >>> sct.tl.traverse(adata, model, dimensions=[0])
    >>> sorted(adata.uns["traverse"]["quantile"].unique().tolist())
    [0.05, 0.25, 0.5, 0.75, 0.95]
    """
    check_order(adata, model, "sct.tl.traverse(adata, model)")
    adata = to_change(adata, copy=copy)
    check_table_key(adata, key_added, COLUMNS)
    latents = model_latents(adata, model, k.MapKeys.of(key).latent)
    numbers = list(range(latents.shape[1])) if dimensions is None else list(dimensions)
    invalid = [number for number in numbers if not 0 <= number < latents.shape[1]]
    if invalid or not numbers:
        msg = f"dimensions are {numbers}; expected numbers from 0 to {latents.shape[1] - 1}."
        raise ValueError(msg)
    start = latents[gene_rows(adata, genes)].mean(axis=0)
    values = np.quantile(latents[:, numbers], _QUANTILES, axis=0).T
    write_table(adata, key_added, _decode_steps(Layout.of(adata), model, start, numbers, values))
    return adata if copy else None


def _decode_steps(
    layout: Layout, model: SimpleChrome, start: np.ndarray, dimensions: Sequence[int], values: np.ndarray
) -> pd.DataFrame:
    """Decode ``start`` ``(n_latent,)`` with one dimension after the other set to its ``values``.

    ``values`` has the shape ``(n_dimensions, n_steps)``.
    """
    n_steps = values.shape[1]
    # Each point is the start with one coordinate replaced; all points are decoded in one call.
    points = np.tile(start, (len(dimensions), n_steps, 1))
    for row, dimension in enumerate(dimensions):
        points[row, :, dimension] = values[row]
    decoded = log_signal(model, layout, model.decode(points.reshape(-1, len(start))))
    bins = {k.REGION: layout.region, k.MARK: layout.mark, "position": layout.middle}
    return pd.DataFrame(
        {
            "dimension": np.repeat(dimensions, n_steps * layout.n_columns),
            "quantile": np.tile(np.repeat(_QUANTILES, layout.n_columns), len(dimensions)),
            "value": np.repeat(values.ravel(), layout.n_columns),
            **{name: np.tile(column, len(dimensions) * n_steps) for name, column in bins.items()},
            "log_signal": decoded.ravel(),
        }
    )


def log_signal(model: SimpleChrome, layout: Layout, normalized: np.ndarray) -> np.ndarray:
    """Turn normalised signal ``(n_points, n_columns)`` into log(1 + signal), never below 0."""
    constants = model.normalization
    scale, center = (layout.expand(np.asarray(constants[name], dtype=float)) for name in ("scale", "center"))
    signal = np.maximum(normalized * scale + center, 0.0)
    # The paper's normalisation scales the signal itself, the others its logarithm.
    return np.log1p(signal) if str(constants["method"]) == "paper" else signal

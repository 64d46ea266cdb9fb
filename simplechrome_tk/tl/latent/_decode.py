"""From latents back to marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import blocks
from simplechrome_tk.core.require import check_order, gene_rows
from simplechrome_tk.model._latents import model_latents

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def log_signal(model: SimpleChrome, adata: ad.AnnData, normalized: np.ndarray) -> np.ndarray:
    """Turn normalised signal ``(n_points, n_columns)`` into log(1 + signal), never below 0."""
    table = blocks(adata)
    constants = model.normalization
    widths = table["stop"] - table["start"]
    scale, center = (np.repeat(np.asarray(constants[name], dtype=float), widths) for name in ("scale", "center"))
    signal = np.maximum(normalized * scale + center, 0.0)
    return np.log1p(signal) if str(constants["method"]) == "paper" else signal


def traverse(
    adata: ad.AnnData,
    model: SimpleChrome,
    *,
    dimensions: Sequence[int] | None = None,
    genes: str | Sequence[str] | np.ndarray | pd.Series | None = None,
) -> pd.DataFrame:
    """Move one latent dimension at a time and decode: what each dimension does to the marks.

    Parameters
    ----------
    model
        The model that made the latents.
    adata
        After :func:`simplechrome_tk.tl.embed`.
    dimensions
        Which; all by default.
    genes
        Where the walk starts: at the mean latent of these genes (names, symbols or a mask); of all by default.

    Returns
    -------
    pandas.DataFrame
        One row per dimension, step and bin: ``dimension``, ``quantile`` (.05, .25, .5, .75, .95 of the genes of
        ``adata``), ``value`` (of the latent there), ``region``, ``mark``, ``position`` (middle of the bin, as in
        ``var``) and ``log_signal``.

    Raises
    ------
    ValueError
        When the latents are missing or of another model, or a dimension is none of theirs.

    Notes
    -----
    The decoder gives the mean of the *logarithm* of the signal, so ``log_signal`` is log(1 + signal), in the units that
    the signal was normalised to; its exponential is nearer to a median than to a mean. A quantile-normalised model
    decodes the signal of its training data's scale.
    """
    check_order(adata, model, "sct.tl.traverse(adata, model)")
    latents = model_latents(adata, model)
    chosen = list(range(latents.shape[1])) if dimensions is None else list(dimensions)
    wrong = [number for number in chosen if not 0 <= number < latents.shape[1]]
    if wrong or not chosen:
        msg = f"dimensions are {chosen}; expected numbers from 0 to {latents.shape[1] - 1}."
        raise ValueError(msg)
    start = latents[gene_rows(adata, genes)].mean(axis=0)
    values = np.quantile(latents[:, chosen], _QUANTILES, axis=0).T
    points = np.tile(start, (len(chosen), len(_QUANTILES), 1))
    for place, number in enumerate(chosen):
        points[place, :, number] = values[place]
    decoded = log_signal(model, adata, model.decode(points.reshape(-1, latents.shape[1])))
    bins = {
        k.REGION: adata.var[k.REGION].astype(str).to_numpy(),
        k.MARK: adata.var[k.MARK].astype(str).to_numpy(),
        "position": (adata.var[k.START_BP] + adata.var[k.END_BP]).to_numpy(float) / 2,
    }
    n_steps = len(chosen) * len(_QUANTILES)
    return pd.DataFrame(
        {
            "dimension": np.repeat(chosen, len(_QUANTILES) * adata.n_vars),
            "quantile": np.tile(np.repeat(_QUANTILES, adata.n_vars), len(chosen)),
            "value": np.repeat(values.ravel(), adata.n_vars),
            **{name: np.tile(column, n_steps) for name, column in bins.items()},
            "log_signal": decoded.ravel(),
        }
    )

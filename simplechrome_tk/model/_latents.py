"""Checks of latents in ``obsm``."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import check_data, check_selectable

if TYPE_CHECKING:
    import anndata as ad

    from simplechrome_tk.model._simplechrome import SimpleChrome

# Genes that are encoded again, to find out whether latents are those of a model.
_N_CHECKED = 64
# Difference that is allowed, relative to the largest latent. Another device rounds differently, by less than this; the
# latents of another model differ by far more.
_TOLERANCE = 1e-3


def latents(adata: ad.AnnData, key: str = k.LATENT) -> np.ndarray:
    """Return ``obsm[key]``, ``(n_genes, n_latent)``, after :func:`check_latents`.

    Raises
    ------
    ValueError
        When there are none, or some are missing, infinite or the same for all genes.
    """
    check_data(adata)
    if key not in adata.obsm:
        found = ", ".join(adata.obsm) or "none"
        named = "" if key == k.LATENT else f", key_added={key.removeprefix('X_')!r}"
        msg = f"obsm has no {key!r} (found: {found}): run sct.tl.embed(adata, model{named}) first."
        raise ValueError(msg)
    values = np.asarray(adata.obsm[key], dtype=np.float32)
    check_latents(adata, values, f"obsm[{key!r}]")
    return values


def check_latents(adata: ad.AnnData, values: np.ndarray, what: str) -> None:
    """Raise ``ValueError`` when latents ``(n_genes, n_latent)`` are missing, infinite or the same for all genes."""
    wrong = ~np.isfinite(values).all(axis=1)
    if wrong.any():
        msg = (
            f"{what} holds missing or infinite values for {int(wrong.sum())} of {len(values)} genes, such as "
            f"{adata.obs_names[wrong][0]!r}; expected numbers. Look for missing values in X, or train again with a "
            "lower learning_rate."
        )
        raise ValueError(msg)
    if len(values) > 1 and np.ptp(values, axis=0).max() == 0:
        msg = (
            f"{what} is the same for all {len(values)} genes; expected latents that differ. Train longer "
            "(model.train(latent_epochs=...)), and check that X differs between genes."
        )
        raise ValueError(msg)


def encoder_digest(model: SimpleChrome) -> str:
    """Return a digest of the encoder's weights and the constants of normalisation, which together define latents."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.module.first.encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    for name, value in sorted(model.normalization.items()):
        digest.update(f"{name} {np.asarray(value).tolist()}".encode())
    return digest.hexdigest()


def model_latents(adata: ad.AnnData, model: SimpleChrome, key: str = k.LATENT) -> np.ndarray:
    """Return ``obsm[key]`` after checking that these are the latents of ``model``.

    The model encodes some of the genes again. Latents of another model, or from before a training, are therefore
    recognised.

    Raises
    ------
    ValueError
        When there are no latents, some are invalid, or they are not those of this model.
    """
    check_selectable(adata)
    values = latents(adata, key)
    rows = np.unique(np.linspace(0, adata.n_obs - 1, _N_CHECKED).astype(int))
    expected = model.get_latent_representation(adata[rows])
    if values.shape[1] != expected.shape[1]:
        found = f"{values.shape[1]} dimensions, and the model {expected.shape[1]}"
    else:
        off = np.abs(values[rows] - expected).max()
        if off <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
            return values
        found = f"values that differ by up to {off:.3g} from the model's"
    msg = (
        f"obsm[{key!r}] is not of this model: it has {found}. Run sct.tl.embed(adata, model) again, or use the model "
        "that made it."
    )
    raise ValueError(msg)

"""Checks that data fit a model that was trained on other data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simplechrome_tk.core.normalization import normalization

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import anndata as ad


def check_columns(found: Sequence[str], expected: Sequence[str]) -> None:
    """Raise ``ValueError`` that names the columns in which the data differ from what the model was trained on."""
    if list(found) == list(expected):
        return
    present, known = set(found), set(expected)
    missing = [name for name in expected if name not in present]
    unknown = [name for name in found if name not in known]
    parts = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in ((missing, "missing"), (unknown, "unknown to the model"))
        if names
    ]
    fix = "bin the same marks with the same windows" if parts else "reorder with adata[:, names]"
    difference = "; ".join(parts) or "same names in another order"
    msg = f"columns differ from those the model was trained on: {difference}. Please {fix}."
    raise ValueError(msg)


def check_normalization(adata: ad.AnnData, expected: Mapping[str, np.ndarray]) -> None:
    """Raise ``ValueError`` unless ``X`` was normalised with the model's constants."""
    fix = "sct.pp.normalize(adata, reference=model.normalization) on its raw signal"
    found = normalization(adata, fix=f"run {fix}")
    if not all(key in found and np.array_equal(np.asarray(found[key]), value) for key, value in expected.items()):
        msg = f"X was normalised with other constants than the model's: run {fix} (adata.layers['signal'])."
        raise ValueError(msg)

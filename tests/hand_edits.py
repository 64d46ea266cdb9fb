"""Edits of simulated genes, and the same changes made by hand to the signal of all genes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import simplechrome_tk as sct
from simplechrome_tk.tl import Edit

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad
    import pandas as pd

K4, K36, K27 = "H3K4me3", "H3K36me3", "H3K27me3"
GENE = 17
"""Row of the gene that is edited."""
ACTIONS = ("set", "scale", "remove", "shift", "swap", "transplant")

_DONOR = 301


def columns(adata: ad.AnnData, mark: str, region: str, low: float = -np.inf, high: float = np.inf) -> list[int]:
    """Return the columns of a mark in a region whose middle lies between two positions, by their names."""
    names = [name.split(":") for name in adata.var_names]
    return [i for i, (m, r, at) in enumerate(names) if m == mark and r == region and low <= float(at) < high]


def neighbors_of(adata: ad.AnnData, row: int) -> np.ndarray:
    """Return the rows of a gene's neighbours."""
    return adata.obsp["tss_connectivities"][row].indices


def predict_by_hand(model: sct.SimpleChrome, adata: ad.AnnData, change: Callable[[np.ndarray], None]) -> pd.DataFrame:
    """Predict all genes after ``change`` has been made to the whole signal, which is then normalised again."""
    raw = adata.copy()
    raw.X = raw.layers.pop("signal")
    del raw.uns["normalize"]
    change(raw.X)
    sct.pp.normalize(raw, reference=model.normalization)
    return model.predict(raw)


def edit_by_hand(adata: ad.AnnData, action: str) -> tuple[Edit, Callable[[np.ndarray], None]]:
    """Return an edit of one gene, and the same change by hand of the signal of all genes."""
    near = columns(adata, K4, "tss", -1_000, 1_000)
    k4, k36, k27 = (columns(adata, mark, "tss") for mark in (K4, K36, K27))
    body = columns(adata, K36, "body", 0.5, 1)

    def set_signal(signal: np.ndarray) -> None:
        signal[GENE, near] = 7.5

    def scale(signal: np.ndarray) -> None:
        signal[GENE, body] *= 0.25

    def remove(signal: np.ndarray) -> None:
        signal[GENE] = 0

    def shift(signal: np.ndarray) -> None:
        old = signal[GENE, k4].copy()
        signal[GENE, k4] = [old[max(i - 3, 0)] for i in range(100)]

    def swap(signal: np.ndarray) -> None:
        signal[GENE, k36 + k27] = signal[GENE, k27 + k36]

    def transplant(signal: np.ndarray) -> None:
        signal[GENE, near] = signal[_DONOR, near]

    promoter = {"mark": K4, "region": "tss", "start": -1_000, "end": 1_000}
    return {
        "set": (Edit.set(7.5, **promoter), set_signal),
        "scale": (Edit.scale(0.25, mark=K36, region="body", start=0.5), scale),
        "remove": (Edit.remove(), remove),
        "shift": (Edit.shift(300, mark=K4, region="tss"), shift),
        "swap": (Edit.swap(K36, K27, region="tss"), swap),
        "transplant": (Edit.transplant(adata.obs_names[_DONOR], **promoter), transplant),
    }[action]

"""Genes and predictions that tests of plots share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simplechrome_tk import pp

MARKS = ["H3K4me3", "H3K27me3", "H3K36me3"]
WINDOWS = (
    pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8),
    pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=4),
    pp.Window("tes", anchor="tes", upstream=1_000, downstream=3_000, n_bins=4),
)


@pytest.fixture
def adata():
    """30 genes on one chromosome under random peaks."""
    rng = np.random.default_rng(0)
    n = 30
    tss = 20_000 * np.arange(1, n + 1)
    minus = np.arange(n) % 2 == 1
    genes = pd.DataFrame(
        {
            "symbol": ["GAPDH", "ACTB", *(f"GENE{i}" for i in range(2, n - 1)), "GENE2"],
            "chrom": "chr1",
            "start": np.where(minus, tss - 9_000, tss),
            "end": np.where(minus, tss, tss + 9_000),
            "strand": np.where(minus, "-", "+"),
            "tss": tss,
            "expression": [3_882.4, 0.0, *rng.gamma(1, 10, n - 2)],
            "split": np.array(["train", "test", "test"])[np.arange(n) % 3],
        },
        index=[f"g{i}" for i in range(n)],
    )
    start = rng.integers(0, 20_000 * (n + 2), 600)
    peaks = {
        mark: pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 900, "signal": rng.gamma(2, 3, 600)})
        for mark in MARKS
    }
    adata = pp.bin_peaks(peaks, genes, windows=WINDOWS)
    pp.label_expression(adata)
    adata.uns["units"] = {"signal": "fold enrichment", "expression": "TPM"}
    return adata


@pytest.fixture
def predictions(adata):
    """One prediction that knows something, with ties, and one that guesses."""
    rng = np.random.default_rng(1)
    high = (adata.obs["label"] == "high").to_numpy(float)
    good = np.clip(0.3 * high + rng.random(30).round(1) * 0.7, 0, 1)
    frame = {"log_expression": rng.normal(size=30)}
    return {
        "good": pd.DataFrame({"probability": good, **frame}, index=adata.obs_names),
        "guess": pd.DataFrame({"probability": rng.random(30), **frame}, index=adata.obs_names),
    }

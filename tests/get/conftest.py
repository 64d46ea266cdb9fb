"""Genes that tests of tables share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simplechrome_tk import pp

MARKS = ("H3K4me3", "H3K27me3")
WINDOWS = (
    pp.Window("tss", anchor="tss", upstream=2_000, downstream=2_000, n_bins=8),
    pp.Window("body", anchor="body", upstream=0, downstream=0, n_bins=3),
)


@pytest.fixture
def adata():
    """12 genes on one chromosome with random peaks of two marks; six low, five high, the last without a label."""
    n = 12
    rng = np.random.default_rng(0)
    tss = 20_000 * np.arange(1, n + 1)
    minus = np.arange(n) % 2 == 1
    genes = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": np.where(minus, tss - 9_000, tss),
            "end": np.where(minus, tss, tss + 9_000),
            "strand": np.where(minus, "-", "+"),
            "tss": tss,
            "label": pd.Categorical(
                ["low"] * 6 + ["high"] * (n - 7) + [None], categories=["low", "high"], ordered=True
            ),
        },
        index=[f"g{i}" for i in range(n)],
    )
    start = rng.integers(0, 20_000 * (n + 2), 300)
    peaks = {
        mark: pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 900, "signal": rng.gamma(2, 3, 300)})
        for mark in MARKS
    }
    return pp.bin_peaks(peaks, genes, windows=WINDOWS)

"""Time and peak memory of the graph of co-expressed genes: 20,000 genes, 56 samples, 50 neighbours, one thread.

python benchmarks/coexpression.py    (half a minute; no data needed)
"""

from __future__ import annotations

import resource
import time

import anndata as ad
import numpy as np
import pandas as pd

import simplechrome_tk as sct

N_GENES, N_SAMPLES, N_NEIGHBORS, N_RUNS = 20_000, 56, 50, 3


def simulate() -> ad.AnnData:
    """Return genes on 20 chromosomes, whose profiles follow ten programmes."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "chrom": [f"chr{number}" for number in rng.integers(1, 21, N_GENES)],
            "tss": rng.integers(0, 100_000_000, N_GENES),
            "strand": "+",
        },
        index=[f"gene{number}" for number in range(N_GENES)],
    )
    adata = ad.AnnData(obs=obs)
    profiles = rng.normal(size=(N_GENES, 10)) @ rng.normal(size=(10, N_SAMPLES)) + rng.normal(size=(N_GENES, N_SAMPLES))
    adata.obsm["reference_expression"] = profiles.astype("float32")
    return adata


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    adata, before = simulate(), peak_gb()
    seconds = []
    for _ in range(N_RUNS):
        start = time.process_time()
        sct.pp.coexpression_neighbors(adata, N_NEIGHBORS)
        seconds.append(time.process_time() - start)
    print(f"{N_GENES:,} genes x {N_SAMPLES} samples, {N_NEIGHBORS} neighbours, median of {N_RUNS}:")
    print(f"{np.median(seconds):.1f} CPU s; peak memory {peak_gb():.2f} GB, {before:.2f} GB before the first call")


if __name__ == "__main__":
    main()

"""Time and memory of the graph of co-expressed genes: 20,000 genes by 56 reference samples, on one thread.

Each of three runs is a process of its own; the medians are printed, with the memory of the same process without the
graph beside them.
"""

from __future__ import annotations

import multiprocessing
import os

# Before numpy is loaded, whose matrix products would take all cores.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import anndata as ad
import numpy as np
import pandas as pd
from _cost import Cost, measured, of_function

import simplechrome_tk as sct

N_GENES, N_SAMPLES, N_RUNS = 20_000, 56, 3


def make() -> ad.AnnData:
    """Genes with random places and, in groups that share a profile, random expression."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "chrom": rng.choice([f"chr{i}" for i in range(1, 23)], N_GENES),
            "tss": rng.integers(0, 150_000_000, N_GENES),
            "strand": rng.choice(["+", "-"], N_GENES),
        },
        index=[f"ENSG{i:011d}" for i in range(N_GENES)],
    )
    adata = ad.AnnData(obs=obs)
    shared = rng.normal(size=(200, N_SAMPLES))[rng.integers(0, 200, N_GENES)]
    adata.obsm["reference_expression"] = (shared + rng.normal(size=shared.shape)).astype(np.float32)
    return adata


def run() -> Cost:
    """Cost of the graph alone; the peak of memory is that of the whole process."""
    adata = make()
    return measured(sct.pp.coexpression_neighbors, adata)


def main() -> None:
    without = of_function(make)
    costs = []
    for _ in range(N_RUNS):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            costs.append(pool.apply(run))
    clock, processor, memory = (sorted(values)[N_RUNS // 2] for values in zip(*costs, strict=True))
    print(f"{N_GENES} genes x {N_SAMPLES} samples, one thread, median of {N_RUNS}:")
    print(f"coexpression_neighbors: {Cost(clock, processor, memory)}")
    print(f"the genes alone:        {without}")


if __name__ == "__main__":
    main()

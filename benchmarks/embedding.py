"""Seconds for neighbours and UMAP of 20,000 x 32: `sct.tl.embed`'s way against scanpy alone, warm and cold.

Warm: again and again in one session, in turn. Cold: each time in a new session, from the start of Python to the last
coordinate, imports and compilation included, in turn. Medians, and ratios of what ran side by side. Then 40,000 rows
once. ``--write`` puts the figures into ``benchmarks/results/embedding.csv``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time

import numpy as np

N_ROWS, N_LATENT, N_GROUPS = 20_000, 32, 20
WARM_RUNS, COLD_RUNS = 3, 3


def latents(n_rows: int) -> np.ndarray:
    """Draw groups of points of unequal spread."""
    rng = np.random.default_rng(0)
    centers = 3 * rng.standard_normal((N_GROUPS, N_LATENT))
    return (centers[rng.integers(N_GROUPS, size=n_rows)] + rng.standard_normal((n_rows, N_LATENT))).astype(np.float32)


def scanpy_alone(x: np.ndarray) -> float:
    import anndata as ad
    import scanpy as sc

    adata = ad.AnnData(np.zeros((len(x), 1), dtype=np.float32), obsm={"X_simplechrome": x})
    start = time.perf_counter()
    sc.pp.neighbors(adata, use_rep="X_simplechrome")
    sc.tl.umap(adata)
    return time.perf_counter() - start


def ours(x: np.ndarray) -> float:
    import anndata as ad
    import torch

    from simplechrome_tk.tl._embed import neighbors_and_umap

    adata = ad.AnnData(np.zeros((len(x), 1), dtype=np.float32), obsm={"X_simplechrome": x})
    start = time.perf_counter()
    neighbors_and_umap(adata, backend="scanpy", device=torch.device("cpu"), n_neighbors=15, min_dist=0.5, rng=0)
    return time.perf_counter() - start


WAYS = {"scanpy": scanpy_alone, "simplechrome_tk": ours}


def cold(way: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", __file__, "--once", way], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", choices=WAYS, help="run one way once and stop; for the cold runs")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/embedding.csv")
    options = parser.parse_args()
    x = latents(N_ROWS)
    if options.once:
        WAYS[options.once](x)
        return
    import pandas as pd
    import torch
    from _runs import RESULTS

    seconds: dict[tuple[str, str], list[float]] = {(when, way): [] for when in ("cold", "warm") for way in WAYS}
    for _ in range(COLD_RUNS):
        for way in WAYS:
            seconds["cold", way].append(cold(way))
    for run in range(WARM_RUNS + 1):
        for way, compute in WAYS.items():
            taken = compute(x)
            if run:
                seconds["warm", way].append(taken)
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads"
    print(f"{N_ROWS:,} x {N_LATENT}, median seconds on {machine}")
    rows = []
    for when, bound in (("cold", 0.5), ("warm", 1.1)):
        theirs, own = (statistics.median(seconds[when, way]) for way in WAYS)
        rows.append({"when": when, "scanpy": theirs, "simplechrome_tk": own, "ratio": own / theirs, "at most": bound})
    table = pd.DataFrame(rows)
    print(table.round(2).to_string(index=False))
    print(f"40,000 x {N_LATENT}: {ours(latents(40_000)):.0f} s, no failure")
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        table.assign(machine=machine).to_csv(RESULTS / "embedding.csv", index=False, float_format="%.3f")


if __name__ == "__main__":
    main()

"""Seconds for neighbours and UMAP of 20,000 x 32 latents: the method of ``sct.tl.embed`` compared with scanpy alone.

The two methods run in turn. Warm runs share one session. Each cold run has a session of its own, and is timed from the
start of Python to the last coordinate, with imports and compilation. The table shows medians and their ratio, of
seconds by the clock and of CPU seconds, which depend less on other work on the machine. Then 40,000 rows run a single
time. ``--write`` writes the numbers to ``benchmarks/results/embedding.csv``.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

N_ROWS, N_LATENT, N_GROUPS = 20_000, 32, 20
RUNS = 3
BOUNDS = {"cold": 0.5, "warm": 1.1}


def latents(n_rows: int) -> np.ndarray:
    """Draw points in groups."""
    rng = np.random.default_rng(0)
    centers = 3 * rng.standard_normal((N_GROUPS, N_LATENT))
    return (centers[rng.integers(N_GROUPS, size=n_rows)] + rng.standard_normal((n_rows, N_LATENT))).astype(np.float32)


def embed_with_scanpy(x: np.ndarray) -> None:
    import anndata as ad
    import scanpy as sc

    adata = ad.AnnData(np.zeros((len(x), 1), dtype=np.float32), obsm={"X_simplechrome": x})
    sc.pp.neighbors(adata, use_rep="X_simplechrome")
    sc.tl.umap(adata)


def embed_with_this_package(x: np.ndarray) -> None:
    import anndata as ad
    import torch

    from simplechrome_tk.tl.latent._embed import neighbors_and_umap

    adata = ad.AnnData(np.zeros((len(x), 1), dtype=np.float32), obsm={"X_simplechrome": x})
    neighbors_and_umap(adata, backend="scanpy", device=torch.device("cpu"), n_neighbors=14, min_dist=0.5, rng=0)


METHODS = {"scanpy": embed_with_scanpy, "simplechrome_tk": embed_with_this_package}


class Seconds(NamedTuple):
    """Seconds by the clock and of CPU."""

    clock: float
    cpu: float


def measure(work: Callable[[], object], processes: int) -> Seconds:
    """Time this process (``resource.RUSAGE_SELF``) or the processes that it starts (``RUSAGE_CHILDREN``)."""
    start, before = time.perf_counter(), resource.getrusage(processes)
    work()
    clock, after = time.perf_counter() - start, resource.getrusage(processes)
    return Seconds(clock, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def in_new_session(method: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", __file__, "--once", method], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", choices=METHODS, help="run one method a single time and stop; for the cold runs")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/embedding.csv")
    options = parser.parse_args()
    x = latents(N_ROWS)
    if options.once:
        METHODS[options.once](x)
        return
    import pandas as pd
    import torch
    from _runs import RESULTS

    seconds: dict[tuple[str, str], list[Seconds]] = {(when, method): [] for when in BOUNDS for method in METHODS}
    for _ in range(options.runs):
        for method in METHODS:
            seconds["cold", method].append(
                measure(lambda method=method: in_new_session(method), resource.RUSAGE_CHILDREN)
            )
    for run in range(options.runs + 1):
        for method, compute in METHODS.items():
            taken = measure(lambda compute=compute: compute(x), resource.RUSAGE_SELF)
            if run:
                seconds["warm", method].append(taken)
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads"
    print(f"{N_ROWS:,} x {N_LATENT}, median seconds of {options.runs} runs on {machine}")
    rows = []
    for when, bound in BOUNDS.items():
        for kind in Seconds._fields:
            theirs, own = (statistics.median(getattr(one, kind) for one in seconds[when, method]) for method in METHODS)
            rows.append((when, kind, theirs, own, own / theirs, bound))
    table = pd.DataFrame(rows, columns=["when", "seconds", *METHODS, "ratio", "at most"])
    print(table.round(2).to_string(index=False))
    many = measure(lambda: embed_with_this_package(latents(40_000)), resource.RUSAGE_SELF)
    print(f"40,000 x {N_LATENT}: {many.clock:.0f} s, no failure")
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        table.assign(machine=machine).to_csv(RESULTS / "embedding.csv", index=False, float_format="%.3f")


if __name__ == "__main__":
    main()

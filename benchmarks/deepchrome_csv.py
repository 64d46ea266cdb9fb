"""Seconds and memory of `sct.deepchrome.read` on DeepChrome's CSV format, against one DataFrame scan per gene.

The scan is how published pipelines take genes out of the table: `pandas.read_csv`, then `table[table[0] == gene]` for
each gene. It is timed on some genes and multiplied, since each scan costs the same. The file is simulated counts, as
long as a published cell type: 19,802 genes x 100 bins. Peak memory is what Python and numpy hold while reading, beyond
what they held before.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd

import simplechrome_tk as sct

N_GENES, N_BINS = 19_802, 100
SCANNED = 200
RUNS = 5


def simulate(path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = np.sort(rng.choice(270_000, N_GENES, replace=False))
    counts = rng.negative_binomial(0.5, 0.15, (N_GENES * N_BINS, 5))
    table = pd.DataFrame(counts)
    table.insert(0, "geneid", np.repeat([f"{gene:06d}" for gene in ids], N_BINS))
    table.insert(1, "bin", np.tile(np.arange(1, N_BINS + 1), N_GENES))
    table["label"] = np.repeat(rng.integers(0, 2, N_GENES), N_BINS)
    table.to_csv(path, header=False, index=False)


def read(path: Path) -> float:
    start = time.perf_counter()
    sct.deepchrome.read(path, annotate=False)
    return time.perf_counter() - start


def scan(path: Path) -> float:
    """Seconds for the whole file: to read it, and to scan it for every gene, by the cost of some of them."""
    start = time.perf_counter()
    table = pd.read_csv(path, header=None)
    reading = time.perf_counter() - start
    genes = table[0].unique()[:: N_GENES // SCANNED]
    start = time.perf_counter()
    for gene in genes:
        table[table[0] == gene].iloc[:, 2:7].to_numpy()
    return reading + (time.perf_counter() - start) / len(genes) * N_GENES


def peak(path: Path) -> tuple[float, float]:
    """Peak bytes while reading, and bytes of the result."""
    tracemalloc.start()
    adata = sct.deepchrome.read(path, annotate=False)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most, adata.X.nbytes


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "E000.csv"
        simulate(path)
        seconds: dict[str, list[float]] = {"read": [], "scan": []}
        for _ in range(RUNS):
            seconds["read"].append(read(path))
            seconds["scan"].append(scan(path))
        most, result = peak(path)
        size = path.stat().st_size / 1e6
    reading, scanning = (statistics.median(seconds[name]) for name in ("read", "scan"))
    print(f"{N_GENES * N_BINS:,} rows x 8 columns, {size:.0f} MB, median of {RUNS} interleaved runs")
    print(f"sct.deepchrome.read            {reading:7.2f} s")
    print(f"one scan per gene              {scanning:7.1f} s  (from {SCANNED} genes, multiplied)")
    print(f"ratio                          {scanning / reading:7.0f}    (at least 30)")
    print(f"peak memory / matrix of {result / 1e6:.0f} MB  {most / result:5.2f}    (below 3)")


if __name__ == "__main__":
    main()

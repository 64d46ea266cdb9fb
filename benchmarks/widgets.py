"""Seconds and memory of the widgets: 20,000 simulated genes, a model with neighbours, two cores.

The script measures how long a user waits for the explorer to open, for all panes after 500 genes are selected, and for
the numbers and the pictures after a slider of the perturbation lab is moved. It prints medians beside the upper bounds.
It also measures the memory that 200 selections and 200 steps of a slider leave behind, after 20 that fill the caches of
Python and torch. The map is random, because the coordinates make no difference. ``--write`` writes the numbers to
``benchmarks/results/widgets.csv``.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from _runs import RESULTS

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad

N_GENES, N_SELECTED, RUNS, MANY = 20_000, 500, 15, 200
AT_MOST = {"explorer opens": 5.0, "selection, every pane": 1.0, "slider, numbers": 0.15}


def prepared() -> tuple[ad.AnnData, sct.SimpleChrome]:
    adata = sct.datasets.simulate(N_GENES)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata)
    model = sct.SimpleChrome(adata, neighbors_key="tss")
    model.train(latent_epochs=1, expression_epochs=1, context_epochs=1, progress=False)
    adata.obsm["X_simplechrome_umap"] = np.random.default_rng(0).normal(size=(N_GENES, 2)).astype(np.float32)
    return adata, model


def seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def resident_mb() -> float:
    """Return the memory that this process uses now, in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    adata, model = prepared()
    rng = np.random.default_rng(0)
    rows: list[tuple[str, float, str]] = []

    def open_explorer() -> sct.widgets.Explorer:
        explorer = sct.widgets.Explorer(adata, model)
        explorer._repr_mimebundle_()
        explorer.wait()
        return explorer

    rows.append(("explorer opens", statistics.median(seconds(lambda: open_explorer().close()) for _ in range(3)), "s"))
    explorer = open_explorer()

    def select() -> None:
        explorer.selected = adata.obs_names[rng.choice(N_GENES, N_SELECTED, replace=False)].tolist()
        explorer.wait()

    lab = sct.widgets.PerturbationLab(adata, model)
    lab.wait()
    factors = iter(np.tile(np.linspace(0.1, 2.9, 28), 100))

    def slide(*, pictures: bool) -> None:
        lab.set_factor(float(next(factors)), mark="H3K4me3", region="tss")
        if pictures:
            lab.wait()
        else:
            lab._futures["number"].result()

    rows.append(
        ("slider, pictures", statistics.median(seconds(lambda: slide(pictures=True)) for _ in range(RUNS)), "s")
    )
    steps = []
    for _ in range(RUNS):
        steps.append(seconds(lambda: slide(pictures=False)))
        lab.wait()
    rows.append(("slider, numbers", statistics.median(steps), "s"))
    select()
    rows.append(("selection, every pane", statistics.median(seconds(select) for _ in range(RUNS)), "s"))
    for what, act in (("selections", select), ("steps of a slider", lambda: slide(pictures=True))):
        for _ in range(20):
            act()
        before = resident_mb()
        for _ in range(MANY):
            act()
        rows.append((f"memory after {MANY} {what}", resident_mb() - before, "MB more"))
    table = pd.DataFrame(rows, columns=["what", "value", "unit"])
    table["at most"] = table["what"].map(AT_MOST)
    table["machine"] = f"{platform.machine()}, {os.cpu_count()} CPUs, {torch.get_num_threads()} threads"
    print(table.round(3).to_string(index=False))
    if write:
        table.to_csv(RESULTS / "widgets.csv", index=False, float_format="%.3f")


if __name__ == "__main__":
    main()

"""One thread or two: seconds of a short training and of boosting, alone and beside a busy core.

Each measurement is a process of its own; the four kinds take turns, and the table in ``results/threads.csv`` holds the
medians. The package itself always computes on one thread, so that the process replaces the functions that set it.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

RUNS = 3
THREADS = (1, 2)
RESULTS = Path(__file__).parent / "results" / "threads.csv"

MEASURE = """
import sys, time
import threadpoolctl, torch
import simplechrome_tk as sct
from simplechrome_tk.evaluation import _comparison_model as comparison_model
task, threads = sys.argv[1], int(sys.argv[2])
adata = sct.datasets.simulate(8_000, rng=0)
sct.pp.split_by_chromosome(adata)
sct.pp.normalize(adata)
torch.set_num_threads(threads)
# The package asks for one thread; here the number given decides.
torch.set_num_threads = lambda number: None
comparison_model.threadpool_limits = lambda limits: threadpoolctl.threadpool_limits(threads)
model = sct.SimpleChrome(adata)
start = time.perf_counter()
if task == "training":
    model.train(latent_epochs=4, expression_epochs=2, progress=False)
else:
    boosting = sct.evaluation.GradientBoosting(classifier_rounds=10, regressor_rounds=20, n_seeds=1)
    boosting.fit(adata).predict(adata)
print(time.perf_counter() - start)
"""


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy with a process that does nothing else."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def seconds(task: str, threads: int, *, beside: bool) -> float:
    """Time one task in a process of its own, without the time for loading."""
    command = [sys.executable, "-c", MEASURE, task, str(threads)]
    with busy_core() if beside else contextlib.nullcontext():
        time.sleep(0.2)
        out = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(out.stdout.split()[-1])


def main() -> None:
    rows = []
    for task in ("training", "boosting"):
        taken: dict[tuple[int, bool], list[float]] = {}
        for _ in range(RUNS):
            for beside in (False, True):
                for threads in THREADS:
                    taken.setdefault((threads, beside), []).append(seconds(task, threads, beside=beside))
        alone = statistics.median(taken[1, False])
        for (threads, beside), values in taken.items():
            median = statistics.median(values)
            rows.append(
                {
                    "task": task,
                    "threads": threads,
                    "beside": "a busy core" if beside else "nothing",
                    "seconds": round(median, 2),
                    "times one thread alone": round(median / alone, 2),
                }
            )
    table = pd.DataFrame(rows)
    print(table.to_string(index=False))
    table.to_csv(RESULTS, index=False)


if __name__ == "__main__":
    main()

"""Seconds and peak memory of `sct.datasets.roadmap("E116")` from cached files, each run in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 5
CODE = """
import resource, time
import simplechrome_tk as sct
start = time.perf_counter()
sct.datasets.roadmap("E116")
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


def main() -> None:
    runs = [
        [float(value) for value in subprocess.check_output([sys.executable, "-c", CODE], text=True).split()]
        for _ in range(RUNS)
    ]
    seconds, gigabytes = (statistics.median(values) for values in zip(*runs, strict=True))
    print(f'roadmap("E116"), median of {RUNS} runs: {seconds:.1f} s (at most 15), {gigabytes:.2f} GB (at most 1.5)')


if __name__ == "__main__":
    main()

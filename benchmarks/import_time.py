"""Seconds that ``import simplechrome_tk`` takes, compared with ``import torch, scanpy``.

The two run in turn, each in a Python process of its own, so that other work on the machine slows both. The medians and
their ratio are printed. It should be at most 1.2.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 5
AT_MOST = 1.2
STATEMENTS = ("import torch, scanpy", "import simplechrome_tk")


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    for statement in STATEMENTS:  # the first run writes compiled files and fills the cache of the disk
        seconds(statement)
    taken = [[seconds(statement) for statement in STATEMENTS] for _ in range(RUNS)]
    theirs, own = (statistics.median(column) for column in zip(*taken, strict=True))
    for statement, median in zip(STATEMENTS, (theirs, own), strict=True):
        print(f"{statement}: {median:.2f} s, median of {RUNS}")
    print(f"ratio {own / theirs:.2f} (at most {AT_MOST})")


if __name__ == "__main__":
    main()

"""Seconds and peak memory of `sct.datasets.roadmap("E116")` from cached files, each run in a process of its own."""

from __future__ import annotations

from _cost import median, of_function

import simplechrome_tk as sct

RUNS = 5


def main() -> None:
    cost = median(RUNS, lambda: of_function(sct.datasets.roadmap, "E116"))
    print(
        f'roadmap("E116"), median of {RUNS} runs: {cost.clock:.1f} s (at most 15), {cost.memory:.2f} GB (at most 1.5)'
    )


if __name__ == "__main__":
    main()

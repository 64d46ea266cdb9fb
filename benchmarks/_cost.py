"""What a run takes: seconds and memory, each run in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Cost(NamedTuple):
    """What one run takes: seconds by the clock and of the processor, and GB of memory at its peak."""

    clock: float
    processor: float
    memory: float

    def __str__(self) -> str:
        return f"{self.clock:7.1f} s  {self.processor:7.1f} s of processor  {self.memory:5.2f} GB"


def of_function(function: Callable[..., object], *args: object) -> Cost:
    """Run a function in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (function, *args))


def measured(function: Callable[..., object], *args: object) -> Cost:
    clock, processor = time.perf_counter(), time.process_time()
    function(*args)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    status = Path("/proc/self/status")
    if status.exists():
        (memory,) = (int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # at least that of the parent process
    return Cost(clock, processor, memory / 1e6)


def median(runs: int, cost: Callable[[], Cost]) -> Cost:
    return Cost(*(statistics.median(values) for values in zip(*(cost() for _ in range(runs)), strict=True)))

"""Settings of torch for the time of a block: its number of threads and its random state."""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_RANDOM = RLock()
"""Torch has one random state for all threads of a process, so that only one of them may draw from a seed at a time."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one CPU thread in the block, and restore the caller's number of threads afterwards.

    The networks are small: a step takes milliseconds, and OpenMP's threads wait for each other, spinning, many times
    in each. On two idle cores a second thread makes training no faster; beside other work, or in a container that sees
    more cores than it may use, training takes two to eight times as long (``docs/architecture.md``, "Threads").
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from ``seed`` in the block, and restore the caller's random state afterwards.

    A second thread that wants to draw from a seed waits until the first has finished, since both would draw from the
    same random state; the same thread may enter again.
    """
    with _RANDOM, torch.random.fork_rng():
        torch.manual_seed(seed)
        yield

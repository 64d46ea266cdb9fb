"""Settings of torch for a block of code: its number of threads and its random state."""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

# Torch has one random state for all threads of a process, so that only one of them may draw from a seed at a time.
_RANDOM = RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one CPU thread in the block, and restore the caller's number of threads afterwards.

    The networks are small: a step takes milliseconds, in which the threads of OpenMP wait for each other many times,
    and keep their cores busy while they wait. On two idle cores a second thread makes training no faster. Beside other
    work, or in a container that sees more cores than it may use, several threads make training two to eight times
    slower (``docs/architecture.md``, "Threads").
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

    Another thread that draws from a seed waits until this block has ended, since both would draw from the same random
    state. Blocks of the same thread may be nested.
    """
    with _RANDOM, torch.random.fork_rng():
        torch.manual_seed(seed)
        yield

"""Number of threads of the comparison models of scikit-learn."""

from __future__ import annotations

from threadpoolctl import threadpool_limits


def one_thread() -> threadpool_limits:
    """Limit scikit-learn to one thread.

    Boosted trees wait for all of their threads at each split: beside other work, two threads take twice as long as one,
    or more.
    """
    return threadpool_limits(1)

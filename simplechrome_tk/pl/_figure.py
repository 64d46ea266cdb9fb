"""New figures, in pyplot for scripts and notebooks, or outside it for widgets."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.layout_engine import LayoutEngine

_DETACHED: ContextVar[list[Figure] | None] = ContextVar("detached", default=None)


@contextmanager
def detached() -> Iterator[list[Figure]]:
    """Keep figures that are made in the ``with`` block out of pyplot, and collect them in the list that it yields.

    Pyplot keeps its figures and shows them below the notebook cell that ends next. A plot that a widget makes in
    another thread must not appear there.
    """
    figures: list[Figure] = []
    token = _DETACHED.set(figures)
    try:
        yield figures
    finally:
        _DETACHED.reset(token)


def new_figure(**settings: Any) -> Figure:
    """Make a figure as ``plt.figure`` does, or one for :func:`detached`."""
    figures = _DETACHED.get()
    if figures is None:
        return plt.figure(**settings)
    figures.append(Figure(**settings))
    return figures[-1]


def subplots(
    n_rows: int = 1,
    n_columns: int = 1,
    *,
    figsize: tuple[float, float] | None = None,
    layout: str | LayoutEngine | None = None,
    **axes: Any,
) -> tuple[Figure, Any]:
    """Make a figure with Axes, as ``plt.subplots`` does."""
    figure = new_figure(figsize=figsize, layout=layout)
    return figure, figure.subplots(n_rows, n_columns, **axes)

"""Curves of losses and scores during a training, on one figure that is drawn again after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from simplechrome_tk.pl._style import GREY
from simplechrome_tk.pl.evaluation._history import LOSSES, SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

_LOSSES = {"train_loss": LOSSES["train_loss"], "valid_loss": LOSSES["valid_loss"]}


class TrainingCurves:
    """Loss of the current phase on the left, validation scores of the network on the right.

    The panels have fixed positions, because a layout engine would measure every tick at each drawing.
    """

    def __init__(self) -> None:
        self.figure = Figure(figsize=(9.4, 2.5))
        self._loss, self._score = (self.figure.add_axes((left, 0.2, 0.36, 0.66)) for left in (0.07, 0.56))
        self._best = Line2D([0, 0], [0, 1], transform=self._score.get_xaxis_transform(), color=GREY, linestyle=":")
        self._score.add_artist(self._best)
        self._lines = {
            **_lines(self._loss, _LOSSES),
            **_lines(self._score, SCORES),
        }
        self._score.set_title("validation scores", loc="left", fontsize="medium", y=1.0)

    def update(self, rows: Sequence[Mapping[str, Any]], best: int | None, phase: str) -> Figure:
        """Draw the epochs of one network; ``best`` is the epoch with the best score so far."""
        table = pd.DataFrame([dict(row) for row in rows])
        own = table[table["phase"] == table["phase"].iloc[-1]]
        self._loss.set_title(f"loss, {phase}", loc="left", fontsize="medium", y=1.0)
        for ax, part, columns in ((self._loss, own, _LOSSES), (self._score, table, SCORES)):
            part = part.reindex(columns=["epoch", *columns])
            part = part[part[list(columns)].notna().any(axis=1)]
            for column in columns:
                self._lines[column].set_data(part["epoch"], part[column])
                self._lines[column].set_marker("o" if len(part) == 1 else "")
            _limit(ax, part["epoch"].to_numpy(float), part[list(columns)].to_numpy(float))
        self._best.set_visible(best is not None)
        self._best.set_xdata([best or 0] * 2)
        return self.figure


def _lines(ax: Axes, known: Mapping[str, tuple[str, str, str]]) -> dict[str, Line2D]:
    lines = {
        column: Line2D([], [], color=color, label=name, markersize=4) for column, (name, color, _) in known.items()
    }
    for line in lines.values():
        ax.add_artist(line)
    ax.legend(
        handles=list(lines.values()),
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=len(lines),
        frameon=False,
        fontsize="small",
        borderaxespad=0.1,
        handlelength=1.2,
    )
    ax.set_xlabel("epoch")
    ax.spines[["right", "top"]].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    return lines


def _limit(ax: Axes, epochs: np.ndarray, values: np.ndarray) -> None:
    """Set limits with some space around the curves."""
    if not len(epochs):
        return
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.08 * (high - low) or 0.05
    ax.set_ylim(low - room, high + room)
    ax.set_xlim(epochs[0] - 0.2, max(epochs[-1], epochs[0] + 1) + 0.2)

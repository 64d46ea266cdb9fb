"""How far a training is, and what was kept of it, in numbers and words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from simplechrome_tk.nn._objectives import validation_score

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

PHASES = {"latent": "latent of the marks", "expression": "prediction of expression", "neighbors": "neighbours"}


class TrainingProgress:
    """Collects the rows that ``on_epoch`` is given."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        """Of the network under way."""
        self.stopped: dict[tuple[int, str], str] = {}
        """What was stopped, by network and phase, in words."""
        self._plan: dict[str, int] = {}
        self._n_models = 1
        self._took: dict[str, list[float]] = {}
        self._last = time.monotonic()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take in an epoch."""
        if self.rows and self.rows[-1]["model"] != row["model"]:
            self.rows = []
        self.rows.append(dict(row))
        self._plan, self._n_models = row["plan"], row["n_models"]
        now = time.monotonic()
        self._took.setdefault(row["phase"], []).append(now - self._last)
        self._last = now

    def note_stop(self) -> None:
        """Write down that the phase was stopped after the last epoch."""
        row = self.rows[-1]
        which = f"network {row['model'] + 1}, " if self._n_models > 1 else ""
        self.stopped[row["model"], row["phase"]] = (
            f"{which}phase {self._number}, {PHASES[row['phase']]}: stopped after {row['phase_epoch']} of "
            f"{self._plan[row['phase']]} epochs"
        )

    @property
    def best(self) -> int | None:
        """Epoch of the network with the best validation score so far."""
        scored = [row for row in self.rows if "valid_auroc" in row]
        return max(scored, key=validation_score)["epoch"] if scored else None

    @property
    def done(self) -> int:
        """Epochs behind us, those that were spared included."""
        row = self.rows[-1]
        before = sum(n for phase, n in self._plan.items() if self._place(phase) < self._number)
        return int(row["model"] * sum(self._plan.values()) + before + row["phase_epoch"])

    @property
    def total(self) -> int:
        """Epochs of all phases of all networks."""
        return self._n_models * sum(self._plan.values())

    @property
    def phase(self) -> str:
        """The phase under way."""
        return f"phase {self._number}"

    def _place(self, phase: str) -> int:
        return list(self._plan).index(phase) + 1

    @property
    def _number(self) -> int:
        return self._place(self.rows[-1]["phase"])

    def seconds_left(self) -> float:
        """Seconds until all epochs are done: of each phase as long as they took, or as this one's where none has."""
        row, now = self.rows[-1], self._mean(self.rows[-1]["phase"], 0.0)
        left = 0.0
        for phase, n in self._plan.items():
            here = self._place(phase)
            networks = self._n_models - row["model"] - (here <= self._number)
            left += self._mean(phase, now) * n * networks
        return left + now * (self._plan[row["phase"]] - row["phase_epoch"])

    def _mean(self, phase: str, otherwise: float) -> float:
        took = self._took.get(phase)
        return otherwise if not took else sum(took) / len(took)

    def line(self) -> str:
        """Say where the training is."""
        row = self.rows[-1]
        parts = [f"network {row['model'] + 1} of {self._n_models}"] if self._n_models > 1 else []
        parts += [
            f"phase {self._number} of {len(self._plan)}: {PHASES[row['phase']]}",
            f"epoch {row['epoch']}, {row['phase_epoch']} of {self._plan[row['phase']]} in this phase",
            f"about {_duration(self.seconds_left())} left",
        ]
        best = self.best
        if best is not None:
            parts.append(f"best so far: epoch {best} ({_scores(self.rows[best - 1])})")
        return " · ".join(parts)

    def outcome(self, history: pd.DataFrame) -> str:
        """Say what was kept, from the history of the model that has been trained."""
        stops = [f"{words[0].upper()}{words[1:]}." for words in self.stopped.values()]
        kept = history[history["best"]].to_dict("records")
        sentences = []
        for row in kept:
            which = f" of network {row['model'] + 1}" if len(kept) > 1 else ""
            n = int((history["model"] == row["model"]).sum())
            sentences.append(
                f"The weights{which} of epoch {row['epoch']} of {n}, the best on validation ({_scores(row)}), are kept."
            )
        return " ".join([*stops, *sentences]) or f"Trained for {len(history)} epochs."


def _scores(row: Mapping[str, Any]) -> str:
    names = {"valid_auroc": "AUROC", "valid_pearson": "Pearson"}
    return ", ".join(f"{name} {row[key]:.3f}" for key, name in names.items() if not np.isnan(row[key]))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

"""Progress and outcome of a training, in numbers and words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from simplechrome_tk.nn._objectives import validation_score

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

PHASES = {
    "latent": "latent of the marks",
    "expression": "prediction of expression",
    "context": "context of the gene",
}


class TrainingProgress:
    """Progress of a training, from the rows that ``on_epoch`` receives."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        """Rows of the current network."""
        self.stopped: dict[tuple[int, str], str] = {}
        """A sentence for each phase that was stopped, by network and phase."""
        self._plan: dict[str, int] = {}
        self._n_models = 1
        self._seconds: dict[str, list[float]] = {}
        self._last = time.monotonic()

    def add(self, row: Mapping[str, Any]) -> None:
        """Add an epoch."""
        if self.rows and self.rows[-1]["model"] != row["model"]:
            self.rows = []
        self.rows.append(dict(row))
        self._plan, self._n_models = row["plan"], row["n_models"]
        now = time.monotonic()
        self._seconds.setdefault(row["phase"], []).append(now - self._last)
        self._last = now

    def note_stop(self) -> None:
        """Record that the phase was stopped after the last epoch."""
        row = self.rows[-1]
        network = f"network {row['model'] + 1}, " if self._n_models > 1 else ""
        self.stopped[row["model"], row["phase"]] = (
            f"{network}phase {self._current_number}, {PHASES[row['phase']]}: stopped after {row['phase_epoch']} of "
            f"{self._plan[row['phase']]} epochs"
        )

    @property
    def best(self) -> int | None:
        """Epoch of the network with the best validation score so far."""
        scored = [row for row in self.rows if "valid_auroc" in row]
        return max(scored, key=validation_score)["epoch"] if scored else None

    @property
    def done(self) -> int:
        """Number of epochs that are done, with those that a stop has skipped."""
        row = self.rows[-1]
        before = sum(n for phase, n in self._plan.items() if self._phase_number(phase) < self._current_number)
        return int(row["model"] * sum(self._plan.values()) + before + row["phase_epoch"])

    @property
    def total(self) -> int:
        """Number of epochs of all phases of all networks."""
        return self._n_models * sum(self._plan.values())

    @property
    def phase(self) -> str:
        """Name of the current phase."""
        return f"phase {self._current_number}"

    def _phase_number(self, phase: str) -> int:
        return list(self._plan).index(phase) + 1

    @property
    def _current_number(self) -> int:
        return self._phase_number(self.rows[-1]["phase"])

    def seconds_left(self) -> float:
        """Return the seconds until all epochs are done, from the mean time of an epoch of each phase so far.

        An epoch of a phase that has not begun is expected to take as long as one of the current phase.
        """
        row = self.rows[-1]
        current = self._mean(row["phase"], 0.0)
        left = current * (self._plan[row["phase"]] - row["phase_epoch"])
        for phase, n_epochs in self._plan.items():
            # Phases up to the current one are done, or counted above, for the current network.
            begun = self._phase_number(phase) <= self._current_number
            n_networks = self._n_models - row["model"] - (1 if begun else 0)
            left += self._mean(phase, current) * n_epochs * n_networks
        return left

    def _mean(self, phase: str, otherwise: float) -> float:
        seconds = self._seconds.get(phase)
        return sum(seconds) / len(seconds) if seconds else otherwise

    def line(self) -> str:
        """Return the progress in words."""
        row = self.rows[-1]
        parts = [f"network {row['model'] + 1} of {self._n_models}"] if self._n_models > 1 else []
        parts += [
            f"phase {self._current_number} of {len(self._plan)}: {PHASES[row['phase']]}",
            f"epoch {row['epoch']}, {row['phase_epoch']} of {self._plan[row['phase']]} in this phase",
            f"about {_duration(self.seconds_left())} left",
        ]
        best = self.best
        if best is not None:
            parts.append(f"best so far: epoch {best} ({_scores(self.rows[best - 1])})")
        return " · ".join(parts)

    def outcome(self, history: pd.DataFrame) -> str:
        """Return a sentence about the weights that were kept, from the history of the trained model."""
        stops = [f"{words[0].upper()}{words[1:]}." for words in self.stopped.values()]
        kept = history[history["best"]].to_dict("records")
        sentences = []
        for row in kept:
            network = f" of network {row['model'] + 1}" if len(kept) > 1 else ""
            n = int((history["model"] == row["model"]).sum())
            sentences.append(
                f"The weights{network} of epoch {row['epoch']} of {n}, the best on validation ({_scores(row)}), "
                "are kept."
            )
        return " ".join([*stops, *sentences]) or f"Trained for {len(history)} epochs."


def _scores(row: Mapping[str, Any]) -> str:
    names = {"valid_auroc": "AUROC", "valid_pearson": "Pearson"}
    return ", ".join(f"{name} {row[key]:.3f}" for key, name in names.items() if not np.isnan(row[key]))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"

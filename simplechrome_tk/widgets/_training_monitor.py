"""Monitor of a training that shows its progress and can stop it early."""

from __future__ import annotations

import html
import time
from threading import Event
from typing import TYPE_CHECKING, Any

import ipywidgets
import pandas as pd

from simplechrome_tk import pl
from simplechrome_tk.widgets._panel import Panel, picture
from simplechrome_tk.widgets._training_curves import TrainingCurves
from simplechrome_tk.widgets._training_progress import TrainingProgress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from simplechrome_tk.model._simplechrome import SimpleChrome

_INTERVAL = 0.5
"""Seconds between two drawings of the curves."""


class _ClosedError(Exception):
    """The widget was closed during a training."""


class TrainingMonitor(Panel):
    """Train a model and show losses and validation scores; a button stops the training and keeps the best weights.

    Stop takes effect at the end of the epoch. In phase 1 (the latent) it ends this phase, and phase 2 begins, because
    a network needs phase 2 to predict. In phase 2 (the prediction of expression) or 3 (the neighbours) it ends the
    training of this network, which keeps its best weights on validation so far; an ensemble goes on with its next
    network. The model stays as it was until its training has ended. Closing the widget discards the training.

    The training runs in a thread of its own, so that other cells can run meanwhile. The kernel handles a click on Stop
    when no cell is running. While :meth:`wait` is running, an interrupt of the kernel (the notebook's ■) has the same
    effect as the button.

    The same seed gives the same weights as ``model.train``, as long as nothing else in this Python process draws from
    torch's global random numbers or changes its number of threads. The random state of before the training is restored
    when the training ends. Do not train, predict with or save this model in another cell meanwhile: you would use the
    weights of before the training.

    Parameters
    ----------
    model
        The model to train, with its data.
    **settings
        Arguments of :meth:`simplechrome_tk.SimpleChrome.train` for the button Start.

    Examples
    --------
    >>> monitor = sct.widgets.TrainingMonitor(model)  # doctest: +SKIP
    >>> monitor  # doctest: +SKIP
    >>> monitor.train(expression_epochs=12)  # doctest: +SKIP
    >>> monitor.wait()  # doctest: +SKIP
    """

    _torch_threads = None  # the number of threads of model.train, which gives the same bits

    def __init__(self, model: SimpleChrome, **settings: Any) -> None:
        super().__init__()
        self._model, self._settings = model, settings
        self._stop_requested, self._is_closed, self._is_training = Event(), Event(), Event()
        self._progress, self._drawn_at = TrainingProgress(), 0.0
        self._curves = TrainingCurves()
        self._start_button = ipywidgets.Button(
            description="Start training", icon="play", tooltip="Train all phases from new weights"
        )
        self._stop_button = ipywidgets.Button(
            description="Stop", icon="stop", disabled=True, tooltip="End this phase and keep the best weights"
        )
        self._bar = ipywidgets.IntProgress(layout={"width": "320px"})
        self._line, self._picture = ipywidgets.HTML(), ipywidgets.HTML()
        buttons = ipywidgets.HBox([self._start_button, self._stop_button, self._bar], layout={"flex_flow": "row wrap"})
        self._fill(buttons, self._line, self._picture)
        self._start_button.on_click(lambda _: None if self._is_closed.is_set() else self.train(**self._settings))
        self._stop_button.on_click(lambda _: self.stop())
        self._show_line("Trained." if model.is_trained else "Not trained yet.")

    def train(self, **settings: Any) -> None:
        """Start training and return at once; :meth:`wait` waits for the end.

        Parameters
        ----------
        **settings
            Arguments of :meth:`simplechrome_tk.SimpleChrome.train`, such as ``latent_epochs``. The widget has its own
            progress bar; ``progress=True`` shows the other one too.

        Raises
        ------
        RuntimeError
            When a training is running, or the widget is closed.
        """
        if self._is_closed.is_set():
            msg = "this widget is closed: make a new one with sct.widgets.TrainingMonitor(model)."
            raise RuntimeError(msg)
        if self._is_training.is_set():
            msg = "a training is running: press Stop, or wait for it with monitor.wait()."
            raise RuntimeError(msg)
        self._is_training.set()
        self._stop_requested.clear()
        self._progress, self._drawn_at = TrainingProgress(), 0.0
        self._start_button.disabled, self._stop_button.disabled = True, False
        self._bar.value, self._bar.bar_style = 0, ""
        self._show_line("The first epoch is running.")
        own = settings.pop("on_epoch", None)

        def on_epoch(row: Mapping[str, Any]) -> bool:
            stop = own is not None and bool(own(row))
            return self._on_epoch(row, stop=stop)

        def work() -> str:
            # The buttons are restored whatever happens, and the error reaches the status line.
            try:
                self._model.train(**{"progress": False, **settings, "on_epoch": on_epoch})
            except BaseException:
                self._bar.bar_style = "danger"
                self._show_line("The training did not finish: the model is as it was before.")
                raise
            finally:
                self._is_training.clear()
                self._start_button.disabled, self._stop_button.disabled = False, True
            return self._progress.outcome(self._model.history)

        self._do("training", "training", work, self._end)

    def stop(self) -> None:
        """End the current phase after this epoch, like the button Stop."""
        if self._is_training.is_set():
            self._stop_requested.set()
            self._stop_button.disabled = True
            self._show_line("Stopping at the end of this epoch.")

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of the training, at most ``timeout`` seconds; an interrupt stops the training.

        The first interrupt has the effect of Stop. A second one before the end of the epoch ends the waiting.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                super().wait(_INTERVAL)
            except KeyboardInterrupt:
                if self._stop_requested.is_set() or not self._is_training.is_set():
                    raise
                self.stop()
            if all(future.done() for future in self._futures.values()) or (end is not None and time.monotonic() > end):
                return

    def close(self) -> None:
        """Remove the widget from the page and discard a running training; the model stays as it was before."""
        self._is_closed.set()
        super().close()

    def figure(self) -> Figure:
        """Draw the history of the model, or the epochs so far of a running training."""
        if self._is_training.is_set() and self._progress.rows:
            return pl.history(pd.DataFrame(self._progress.rows))[0].figure
        return pl.history(self._model.history)[0].figure

    def _on_epoch(self, row: Mapping[str, Any], *, stop: bool) -> bool:
        """Show an epoch; return whether to stop."""
        # An exception is the only way to end a training from within, and it leaves the model as it was.
        if self._is_closed.is_set():
            raise _ClosedError
        progress = self._progress
        progress.add(row)
        stop = stop or self._stop_requested.is_set()
        if stop:
            progress.note_stop()
            self._stop_requested.clear()
            self._stop_button.disabled = False
        self._bar.max, self._bar.value = progress.total, progress.done
        self._show_line(progress.line())
        if time.monotonic() - self._drawn_at > _INTERVAL:
            self._draw()
        return stop

    def _draw(self) -> None:
        """Draw the curves after the first epoch."""
        progress, curves = self._progress, self._curves
        if progress.rows:
            alt = f"Loss and validation scores after {len(progress.rows)} epochs."
            figure = curves.update(progress.rows, progress.best, progress.phase)
            self._picture.value = picture(lambda: figure, alt)
            self._drawn_at = time.monotonic()

    def _end(self, outcome: str) -> None:
        self._bar.value, self._bar.bar_style = self._bar.max, "success"
        self._draw()
        self._show_line(outcome)

    def _show_line(self, text: str) -> None:
        self._line.value = f'<div aria-live="polite">{html.escape(text)}</div>'

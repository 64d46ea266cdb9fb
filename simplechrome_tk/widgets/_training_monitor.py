"""Watch a training, and stop it when it has learnt enough."""

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

_EVERY = 0.5  # seconds between drawings


class _ClosedError(Exception):
    """The widget was closed while it trained."""


class TrainingMonitor(Panel):
    """Train a model and watch losses and validation scores; stop it early and keep the best weights.

    Stopping takes effect at the end of the epoch. In phase 1 (the latent) it ends that phase and phase 2 begins, since
    a network without it predicts nothing. In phase 2 (the prediction of expression) or 3 (the neighbours) it ends the
    training of this network, whose best weights on validation so far are kept; of several networks the next is trained.
    The model stays as it was until its training has ended; closing the widget abandons it.

    Training runs in a thread of its own, so that other cells can run meanwhile. A click on Stop reaches a kernel that
    is free, or else once the running cell has ended; while :meth:`wait` is what runs, interrupting the kernel (the
    notebook's ■) stops as the button does. The same seed gives the same weights as ``model.train`` as long as nothing
    else in this Python process draws from torch's global random numbers or changes its number of threads; what is drawn
    there meanwhile is not what it would be otherwise, and the state of before the training is put back when it ends. Do
    not train, predict with or save this model in another cell meanwhile: you would use the weights of before.

    Parameters
    ----------
    model
        The model to train, with its data.
    **settings
        Arguments of :meth:`simplechrome_tk.SimpleChrome.train` that the button Start trains with.

    Examples
    --------
    >>> monitor = sct.widgets.TrainingMonitor(model)  # doctest: +SKIP
    >>> monitor  # doctest: +SKIP
    >>> monitor.train(expression_epochs=12)  # doctest: +SKIP
    >>> monitor.wait()  # doctest: +SKIP
    """

    _torch_threads = None  # the same sums as model.train, bit by bit

    def __init__(self, model: SimpleChrome, **settings: Any) -> None:
        super().__init__()
        self._model, self._settings = model, settings
        self._stop, self._closed, self._under_way = Event(), Event(), Event()
        self._progress, self._drawn = TrainingProgress(), 0.0
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
        self._start_button.on_click(lambda _: None if self._closed.is_set() else self.train(**self._settings))
        self._stop_button.on_click(lambda _: self.stop())
        self._say("Trained." if model.is_trained else "Not trained yet.")

    def train(self, **settings: Any) -> None:
        """Start training and return at once; :meth:`wait` waits for the end.

        Parameters
        ----------
        **settings
            Those of :meth:`simplechrome_tk.SimpleChrome.train`, such as ``latent_epochs``; no progress bar is shown
            beside the widget's own unless ``progress=True``.

        Raises
        ------
        RuntimeError
            When a training is under way, or the widget is closed.
        """
        if self._closed.is_set():
            msg = "this widget is closed: make a new one with sct.widgets.TrainingMonitor(model)."
            raise RuntimeError(msg)
        if self._under_way.is_set():
            msg = "a training is under way: press Stop, or wait for it with monitor.wait()."
            raise RuntimeError(msg)
        self._under_way.set()
        self._stop.clear()
        self._progress, self._drawn = TrainingProgress(), 0.0
        self._start_button.disabled, self._stop_button.disabled = True, False
        self._bar.value, self._bar.bar_style = 0, ""
        self._say("The first epoch is under way.")
        own = settings.pop("on_epoch", None)

        def on_epoch(row: Mapping[str, Any]) -> bool:
            asked = own is not None and bool(own(row))
            return self._on_epoch(row, asked=asked)

        def work() -> str:
            try:
                self._model.train(**{"progress": False, **settings, "on_epoch": on_epoch})
            except BaseException:
                self._bar.bar_style = "danger"
                self._say("The training did not end: the model is as it was before.")
                raise
            finally:
                self._under_way.clear()
                self._start_button.disabled, self._stop_button.disabled = False, True
            return self._progress.outcome(self._model.history)

        self._do("training", "training", work, self._end)

    def stop(self) -> None:
        """End the phase under way after this epoch, as the button Stop does."""
        if self._under_way.is_set():
            self._stop.set()
            self._stop_button.disabled = True
            self._say("Stopping at the end of this epoch.")

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, at most ``timeout`` seconds; an interrupt stops the training.

        The first interrupt is what a press of Stop is, which waits for the kernel to be free; another before the epoch
        has ended ends the waiting.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                super().wait(_EVERY)
            except KeyboardInterrupt:
                if self._stop.is_set() or not self._under_way.is_set():
                    raise
                self.stop()
            if all(future.done() for future in self._futures.values()) or (end is not None and time.monotonic() > end):
                return

    def close(self) -> None:
        """Take the widget from the page; a training that is under way is abandoned, and the model is as before."""
        self._closed.set()
        super().close()

    def figure(self) -> Figure:
        """Draw the history of the model, or the epochs so far of the training under way."""
        if self._under_way.is_set() and self._progress.rows:
            return pl.history(pd.DataFrame(self._progress.rows))[0].figure
        return pl.history(self._model.history)[0].figure

    def _on_epoch(self, row: Mapping[str, Any], *, asked: bool) -> bool:
        """Show an epoch; return whether to stop."""
        if self._closed.is_set():
            raise _ClosedError
        progress = self._progress
        progress.add(row)
        stop = asked or self._stop.is_set()
        if stop:
            progress.note_stop()
            self._stop.clear()
            self._stop_button.disabled = False
        self._bar.max, self._bar.value = progress.total, progress.done
        self._say(progress.line())
        if time.monotonic() - self._drawn > _EVERY:
            self._draw()
        return stop

    def _draw(self) -> None:
        """Draw the curves, where there are any."""
        progress, curves = self._progress, self._curves
        if progress.rows:
            alt = f"Loss and validation scores after {len(progress.rows)} epochs."
            figure = curves.update(progress.rows, progress.best, progress.phase)
            self._picture.value = picture(lambda: figure, alt)
            self._drawn = time.monotonic()

    def _end(self, outcome: str) -> None:
        self._bar.value, self._bar.bar_style = self._bar.max, "success"
        self._draw()
        self._say(outcome)

    def _say(self, words: str) -> None:
        self._line.value = f'<div aria-live="polite">{html.escape(words)}</div>'

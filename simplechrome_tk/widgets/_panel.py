"""Base class of the widgets: work in threads, a status line, and a static picture."""

from __future__ import annotations

import base64
import html
import io
import logging
from abc import abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import count
from threading import Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, TypeVar

import ipywidgets
import torch
from matplotlib.figure import Figure

from simplechrome_tk.pl._figure import detached

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_DPI = 90
_DRAWING = Lock()
"""Held while a figure is drawn: matplotlib must not be used by two threads at a time, and each widget has a thread."""

# ipywidgets marks widgets as disconnected when the kernel restarts, but not when it is shut down. JupyterLab then shows
# the status "unknown" for the kernel, by which the second selector finds the widgets.
_STYLE = """<style>
.sct-panel { color: var(--jp-ui-font-color1, #222); }
.sct-panel img { max-width: 100%; height: auto; border-radius: 4px; background: white; }
.sct-panel .sct-status { min-height: 1.5em; line-height: 1.5em; }
.sct-panel .sct-error { border-left: 4px solid #D55E00; padding-left: 8px; }
.sct-panel :focus-visible { outline: 2px solid #0072B2; outline-offset: 1px; }
.sct-panel table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.sct-panel th, .sct-panel td { padding: 1px 10px 1px 0; text-align: left; white-space: nowrap; }
.sct-panel a { color: var(--jp-content-link-color, #0072B2); }
.sct-panel.jupyter-widgets-disconnected::before,
.jp-NotebookPanel:has([data-status="unknown"], [data-status="dead"]) .sct-panel::before {
  content: "The kernel has stopped, and this widget with it: run the notebook's cells again.";
  border-left: 4px solid #D55E00; padding-left: 8px; margin: 4px 0;
}
</style>"""


class Panel(ipywidgets.VBox):
    """Base of the widgets: their content below a status line.

    Handlers on the kernel's main thread pass work to :meth:`_do`, so that the kernel stays free, newer requests replace
    older ones that wait, and an error becomes a sentence in the widget. One thread does the work in the order of the
    requests; work that must not wait for slow work names another thread. Where widgets do not run, such as on a web
    page, a picture of :meth:`figure` replaces them.
    """

    _torch_threads: int | None = 1
    """Number of threads that torch uses in a thread of the widget; ``None`` takes the number of the caller's thread.

    Torch has a number of its own for each thread. One is fastest for a single gene.
    """

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._state = Lock()
        self._numbers = count()
        self._requested: dict[str, int] = {}
        self._busy: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._futures: dict[str, Future[None]] = {}
        self._threads_ended = False
        self._status = ipywidgets.HTML()
        super().__init__()
        self.add_class("sct-panel")

    def _fill(self, *content: ipywidgets.Widget) -> None:
        """Put ``content`` below the status line."""
        self.children = [ipywidgets.HTML(_STYLE), self._status, *content]

    @abstractmethod
    def figure(self) -> Figure:
        """Draw the widget with matplotlib, for a web page, a paper, or where widgets do not run."""

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all requests, and requests that follow from them, are shown, at most ``timeout`` seconds."""
        end = None if timeout is None else monotonic() + timeout
        while pending := [future for future in list(self._futures.values()) if not future.done()]:
            wait(pending, timeout=None if end is None else end - monotonic())
            if end is not None and monotonic() >= end:
                return

    def close(self) -> None:
        """Remove the widget from the page and end its threads; later requests do nothing."""
        if hasattr(self, "_threads_ended"):  # a constructor that raised has not set it
            with self._state:
                self._threads_ended = True
                for thread in self._threads.values():
                    thread.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _do(
        self,
        pane: str,
        message: str,
        work: Callable[[], Result],
        show: Callable[[Result], None],
        *,
        thread: str = "",
        settle: float = 0,
    ) -> None:
        """Compute ``work()`` in a thread and pass the result to ``show``, unless a newer request came for the pane.

        The status line shows ``message`` meanwhile. An error in ``work`` or ``show`` takes its place until the next
        request for the pane. Work that a newer request is likely to replace, such as a picture while a slider is
        dragged, begins after ``settle`` seconds and names a ``thread`` of its own.
        """

        def run() -> None:
            # The number tells whether a newer request has come: before the work, after a pause, and after the work.
            error = None
            try:
                if self._requested[pane] == number:
                    sleep(settle)
                if self._requested[pane] == number:
                    result = work()
                    if self._requested[pane] == number:
                        show(result)
            except Exception as problem:
                # Any error of the work becomes a sentence in the widget, where a traceback would be lost.
                error = problem
                logger.debug("%s: %s failed.", type(self).__name__, pane, exc_info=True)
            self._done(pane, number, error)

        with self._state:
            if self._threads_ended:
                logger.info("%s is closed: make a new one.", type(self).__name__)
                return
            number = self._requested[pane] = next(self._numbers)
            self._busy[pane] = message
            self._errors.pop(pane, None)
            if thread not in self._threads:
                name = f"{type(self).__name__} {thread}"
                n_torch = torch.get_num_threads() if self._torch_threads is None else self._torch_threads
                self._threads[thread] = ThreadPoolExecutor(1, name, torch.set_num_threads, (n_torch,))
            self._futures[pane] = self._threads[thread].submit(run)
        self._report()

    def _done(self, pane: str, number: int, error: Exception | None) -> None:
        with self._state:
            if self._requested[pane] != number:
                return
            self._busy.pop(pane, None)
            if error is not None:
                self._errors[pane] = str(error) or type(error).__name__
        self._report()

    def _report(self) -> None:
        """Show work in progress and errors in the status line, which screen readers read too."""
        # The lock is held until the line is sent, so that the later of two threads sends the last line.
        with self._state:
            busy, errors = list(dict.fromkeys(self._busy.values())), list(dict.fromkeys(self._errors.values()))
            lines = [f'<div role="status">{html.escape(", ".join(busy))} …</div>' if busy else ""]
            lines += [f'<div role="alert" class="sct-error">{html.escape(sentence)}</div>' for sentence in errors]
            self._status.value = f'<div class="sct-status">{"".join(lines)}</div>'

    def _repr_mimebundle_(self, **settings: Any) -> Any:
        # Jupyter shows the picture where it cannot run the widget.
        bundle = super()._repr_mimebundle_(**settings)
        try:
            with _DRAWING, detached():
                image = png(self.figure())
        except ValueError as error:
            logger.info("%s has no static picture: %s", type(self).__name__, error)
        else:
            bundle["image/png"] = base64.b64encode(image).decode()
        return bundle


def picture(draw: Callable[[], object], alt: str) -> str:
    """Draw a figure outside pyplot and return it as HTML, with ``alt`` as its description for screen readers.

    The figure is the one that ``draw`` returns, or else the last one that it made.
    """
    with _DRAWING, detached() as figures:
        drawn = draw()
        image = png(drawn if isinstance(drawn, Figure) else figures[-1])
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()

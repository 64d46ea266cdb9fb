"""What all widgets share: work off the kernel's main thread, a line that says what goes on, and a picture of it all."""

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
"""Matplotlib is not safe to be used from two threads, and two widgets are two threads."""

# ipywidgets marks widgets as disconnected when the kernel restarts, but not when it is shut down; JupyterLab's sign of
# the kernel then says "unknown".
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
  content: "The kernel has stopped, so that nothing here answers: run the notebook's cells again.";
  border-left: 4px solid #D55E00; padding-left: 8px; margin: 4px 0;
}
</style>"""


class Panel(ipywidgets.VBox):
    """Base of the widgets: their content under a line that says what goes on.

    Handlers on the kernel's main thread hand work to :meth:`_do`, so that the kernel stays free, newer requests replace
    older ones that wait, and an error becomes a sentence in the widget. Work is done in one thread, in the order asked
    for; what must not wait for slow work names another. Where widgets do not run, such as on a web page, a picture of
    :meth:`figure` is shown in their place.
    """

    _torch_threads: int | None = 1
    """Torch counts its threads anew in each thread. One gene is done sooner by one; ``None`` takes the caller's."""

    def __init__(self) -> None:
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._state = Lock()
        self._numbers = count()
        self._asked: dict[str, int] = {}
        self._busy: dict[str, str] = {}
        self._wrong: dict[str, str] = {}
        self._futures: dict[str, Future[None]] = {}
        self._ended = False
        self._status = ipywidgets.HTML()
        super().__init__()
        self.add_class("sct-panel")

    def _fill(self, *content: ipywidgets.Widget) -> None:
        """Put ``content`` beneath the line that says what goes on."""
        self.children = [ipywidgets.HTML(_STYLE), self._status, *content]

    @abstractmethod
    def figure(self) -> Figure:
        """Draw what the widget shows with matplotlib, for a page, a paper, or where widgets do not run."""

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all that was asked for, and what that asks for in turn, is shown, at most ``timeout`` seconds."""
        end = None if timeout is None else monotonic() + timeout
        while pending := [future for future in list(self._futures.values()) if not future.done()]:
            wait(pending, timeout=None if end is None else end - monotonic())
            if end is not None and monotonic() >= end:
                return

    def close(self) -> None:
        """Take the widget from the page and end its threads; what is asked of it afterwards does nothing."""
        if hasattr(self, "_ended"):  # not where a constructor has raised
            with self._state:
                self._ended = True
                for thread in self._threads.values():
                    thread.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _do(
        self,
        pane: str,
        what: str,
        work: Callable[[], Result],
        show: Callable[[Result], None],
        *,
        thread: str = "",
        settle: float = 0,
    ) -> None:
        """Compute ``work()`` in a thread and hand the result to ``show``, unless the pane was asked anew.

        ``what`` says what is being done, until it is; what ``work`` or ``show`` raises is said in its place, until the
        pane is asked again. Work that a newer request is likely to replace, such as a picture while a slider is
        dragged, begins after ``settle`` seconds in a thread of its own.
        """

        def run() -> None:
            error = None
            try:
                if self._asked[pane] == number:
                    sleep(settle)
                if self._asked[pane] == number:
                    result = work()
                    if self._asked[pane] == number:
                        show(result)
            except Exception as problem:
                error = problem
                logger.debug("%s: %s failed.", type(self).__name__, pane, exc_info=True)
            self._done(pane, number, error)

        with self._state:
            if self._ended:
                logger.info("%s is closed and does nothing: make a new one.", type(self).__name__)
                return
            number = self._asked[pane] = next(self._numbers)
            self._busy[pane] = what
            self._wrong.pop(pane, None)
            if thread not in self._threads:
                name = f"{type(self).__name__} {thread}"
                of_torch = torch.get_num_threads() if self._torch_threads is None else self._torch_threads
                self._threads[thread] = ThreadPoolExecutor(1, name, torch.set_num_threads, (of_torch,))
            self._futures[pane] = self._threads[thread].submit(run)
        self._report()

    def _done(self, pane: str, number: int, error: Exception | None) -> None:
        with self._state:
            if self._asked[pane] != number:
                return
            self._busy.pop(pane, None)
            if error is not None:
                self._wrong[pane] = str(error) or type(error).__name__
        self._report()

    def _report(self) -> None:
        """Say what is being done and what went wrong, also to screen readers."""
        with self._state:  # until it is sent: of two threads the later must have the last word
            busy, wrong = list(dict.fromkeys(self._busy.values())), list(dict.fromkeys(self._wrong.values()))
            lines = [f'<div role="status">{html.escape(", ".join(busy))} …</div>' if busy else ""]
            lines += [f'<div role="alert" class="sct-error">{html.escape(sentence)}</div>' for sentence in wrong]
            self._status.value = f'<div class="sct-status">{"".join(lines)}</div>'

    def _repr_mimebundle_(self, **settings: Any) -> Any:
        bundle = super()._repr_mimebundle_(**settings)
        try:
            with _DRAWING, detached():
                image = png(self.figure())
        except ValueError as error:
            logger.info("%s has no picture for where widgets do not run: %s", type(self).__name__, error)
        else:
            bundle["image/png"] = base64.b64encode(image).decode()
        return bundle


def picture(draw: Callable[[], object], alt: str) -> str:
    """Draw outside pyplot; return the figure as HTML, with ``alt`` for those who cannot see it.

    It is the one that ``draw`` returns, or else the last that was made.
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

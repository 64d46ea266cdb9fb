"""The base of the widgets: requests that replace each other, threads that do not wait for each other, mistakes."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import ipywidgets
import pytest
from matplotlib.figure import Figure

from simplechrome_tk.widgets._panel import Panel

if TYPE_CHECKING:
    from collections.abc import Iterator


class Plain(Panel):
    def figure(self) -> Figure:
        return Figure()


@pytest.fixture
def panel() -> Iterator[Plain]:
    panel = Plain()
    panel._fill(ipywidgets.Label("content"))
    yield panel
    panel.close()


def status(panel: Panel) -> str:
    return panel.children[1].value


def test_the_newest_request_replaces_those_that_wait(panel):
    first, shown = Event(), []
    panel._do("pane", "Counting", lambda: first.wait(5), shown.append)
    for number in range(20):
        panel._do("pane", "Counting", lambda number=number: number, shown.append)
    assert "Counting …" in status(panel)
    first.set()
    panel.wait(5)
    assert shown == [19], "also what was being done is not shown"
    assert "Counting" not in status(panel)


def test_another_thread_does_not_wait_for_slow_work(panel):
    slow, quick, shown = Event(), Event(), []
    panel._do("picture", "Drawing", lambda: slow.wait(5), shown.append, thread="pictures")
    panel._do("number", "Predicting", quick.set, shown.append)
    assert quick.wait(5)
    assert shown in ([], [None]), "the picture is still being drawn"
    slow.set()
    panel.wait(5)
    assert shown == [None, True]


def test_work_settles_before_it_begins(panel):
    done: list[int] = []
    for number in range(5):
        panel._do("picture", "Drawing", lambda number=number: done.append(number), lambda _: None, settle=0.05)
    panel.wait(5)
    assert done == [4], "a dragged slider draws once"


def test_waiting_includes_what_a_result_asks_for(panel):
    shown: list[str] = []
    panel._do(
        "number",
        "Predicting",
        lambda: None,
        lambda _: panel._do("picture", "Drawing", lambda: "picture", shown.append, thread="pictures", settle=0.05),
    )
    panel.wait(5)
    assert shown == ["picture"]
    never = Event()
    panel._do("pane", "Waiting", never.wait, lambda _: None)
    panel.wait(0.05)
    assert "Waiting" in status(panel)
    never.set()


def test_a_mistake_is_a_sentence_until_the_pane_is_asked_again(panel):
    def fail() -> None:
        msg = "no gene 'X' <here>"
        raise ValueError(msg)

    panel._do("number", "Predicting", fail, lambda _: None)
    panel._do("other", "Predicting", lambda: None, lambda _: None)
    panel.wait(5)
    assert "no gene &#x27;X&#x27; &lt;here&gt;" in status(panel)
    panel._do("number", "Predicting", lambda: None, lambda _: None)
    panel.wait(5)
    assert "no gene" not in status(panel)

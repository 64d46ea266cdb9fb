"""The base class of the widgets: requests, threads, errors, static pictures."""

from __future__ import annotations

import threading
import time
from functools import partial

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import simplechrome_tk as sct
from simplechrome_tk import pl
from simplechrome_tk.pl._figure import detached
from simplechrome_tk.widgets._panel import Panel, picture


class Toy(Panel):
    """Collects its results."""

    def __init__(self):
        super().__init__()
        self.shown = []
        self._fill()

    def ask(self, work, pane="pane", **settings):
        self._do(pane, "Working", work, self.shown.append, **settings)

    def figure(self):
        return Figure()

    @property
    def status(self):
        return self._status.value


def test_work_is_done_in_another_thread_and_named_meanwhile():
    toy, begun, go = Toy(), threading.Event(), threading.Event()
    toy.ask(lambda: begun.set() or (go.wait(5) and threading.current_thread() is threading.main_thread()))
    assert begun.wait(5)
    assert "Working" in toy.status
    go.set()
    toy.wait()
    assert toy.shown == [False]
    assert "Working" not in toy.status


def test_newest_request_of_a_pane_wins():
    toy, go = Toy(), threading.Event()
    toy.ask(lambda: go.wait(5) and "oldest")
    for number in range(5):
        toy.ask(lambda number=number: number)
    toy.ask(lambda: "other", pane="other")
    go.set()
    toy.wait()
    assert toy.shown == [4, "other"]


def test_another_thread_does_not_wait_for_slow_work():
    toy, slow, quick = Toy(), threading.Event(), threading.Event()
    toy.ask(lambda: slow.wait(5) and "slow", pane="picture", thread="pictures")
    toy.ask(lambda: quick.set() or "quick", pane="number")
    assert quick.wait(5)
    assert "slow" not in toy.shown
    slow.set()
    toy.wait(5)
    assert sorted(toy.shown) == ["quick", "slow"]


def test_work_settles_before_it_begins():
    toy, done = Toy(), []
    for number in range(5):
        toy.ask(lambda number=number: done.append(number), settle=0.05)
    toy.wait(5)
    assert done == [4], "a dragged slider draws once"


def test_waiting_includes_requests_that_follow_from_a_result():
    toy, shown = Toy(), []
    draw = partial(toy._do, "picture", "Drawing", lambda: "picture", shown.append, thread="pictures", settle=0.05)
    toy._do("number", "Predicting", lambda: None, lambda _: draw())
    toy.wait(5)
    assert shown == ["picture"]


def test_waiting_ends_after_the_timeout():
    toy, never = Toy(), threading.Event()
    toy.ask(never.wait)
    toy.wait(0.05)
    assert "Working" in toy.status
    never.set()


def test_an_error_is_a_sentence_until_the_pane_has_a_new_request(caplog):
    toy = Toy()
    toy.ask(lambda: 1 / 0)
    toy.ask(lambda: "fine", pane="other")
    toy.wait()
    assert 'role="alert"' in toy.status
    assert "division by zero" in toy.status
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]
    toy.ask(lambda: "better")
    toy.wait()
    assert "division" not in toy.status
    assert toy.shown == ["fine", "better"]


def test_an_error_cannot_be_markup():
    toy = Toy()

    def fail():
        msg = "<script>alert(1)</script>"
        raise ValueError(msg)

    toy.ask(fail)
    toy.wait()
    assert "<script>" not in toy.status
    assert "&lt;script&gt;" in toy.status


def test_where_widgets_do_not_run_a_picture_is_shown():
    bundle = Toy()._repr_mimebundle_()
    assert {"image/png", "application/vnd.jupyter.widget-view+json"} <= set(bundle)


def test_closing_ends_the_threads():
    before = threading.active_count()
    toy = Toy()
    toy.ask(lambda: 1)
    toy.wait()
    assert threading.active_count() > before
    toy.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_closed_panel_takes_input_and_does_nothing(caplog):
    caplog.set_level("INFO")
    toy, go = Toy(), threading.Event()
    toy.ask(lambda: go.wait(5) and "begun before")
    toy.ask(lambda: "waiting")
    toy.close()
    go.set()
    toy.ask(lambda: "after")
    toy.ask(lambda: "after", thread="another")
    toy.wait(5)
    toy.close()
    assert "after" not in toy.shown
    assert "Toy is closed" in caplog.text


def test_plots_for_widgets_are_unknown_to_pyplot():
    adata = sct.datasets.simulate(200)
    assert not plt.get_fignums()
    html = picture(lambda: pl.mark_profiles(adata), 'profiles of "all"')
    assert html.startswith('<img alt="profiles of &quot;all&quot;" src="data:image/png;base64,')
    with detached() as figures:
        pl.browser(adata, adata.obs_names[0])
        pl.gene(adata, adata.obs_names[0])
    assert len(figures) == 2
    assert not plt.get_fignums()
    axes = pl.mark_profiles(adata)
    assert plt.get_fignums() == [axes[0, 0].figure.number]

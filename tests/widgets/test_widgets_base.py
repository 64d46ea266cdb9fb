"""What all widgets share."""

from __future__ import annotations

import gc
import threading
import time

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

import simplechrome_tk as sct
from simplechrome_tk import pl
from simplechrome_tk.pl._figure import detached
from simplechrome_tk.widgets._gene_picker import GenePicker
from simplechrome_tk.widgets._panel import Panel, picture


class Toy(Panel):
    """Shows what it is told."""

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


def test_work_is_done_in_another_thread_and_said_while_it_is():
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


def test_an_error_is_a_sentence_until_the_pane_is_asked_again(caplog):
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


def test_what_is_said_cannot_be_markup():
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
    assert "Toy is closed and does nothing: make a new one." in caplog.text


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
    plt.close("all")
    gc.collect()


@pytest.fixture
def picker():
    adata = sct.datasets.simulate(150)
    adata.obs["symbol"] = ["PAX5", "PAX6", "pax6-as1", "TWIN", "TWIN", *(f"G{i}" for i in range(145))]
    return GenePicker(adata)


def test_picker_offers_what_begins_as_typed(picker):
    picker.value = "pax"
    assert picker.options == ("PAX5", "PAX6", "pax6-as1")
    assert picker.row is None
    picker.value = "Pax6"
    assert picker.row == 1
    picker.value = "pax6-AS1"
    assert picker.row == 2
    picker.value = ""
    assert (picker.row, picker.options) == (None, ())


def test_picker_names_twins_by_id(picker):
    ids = picker._adata.obs_names[3:5]
    picker.value = "TWIN"
    assert picker.row is None
    with pytest.raises(ValueError, match=f"{ids[0]}, {ids[1]}"):
        picker.require()
    picker.value = ids[1]
    assert picker.row == 4


def test_picker_says_which_genes_are_close(picker):
    picker.value = "PAX7"
    assert picker.row is None
    with pytest.raises(ValueError, match="did you mean PAX"):
        picker.require()


def test_picker_tells_cell_types_apart():
    both = sct.pp.stack_cell_types({name: sct.datasets.simulate(150, rng=i) for i, name in enumerate("AB")})
    picker = GenePicker(both)
    symbol = both.obs["symbol"].iloc[3]
    picker.value = symbol
    assert picker.row is None
    assert picker.options[:2] == (f"{symbol} (A)", f"{symbol} (B)")
    picker.value = f"{symbol} (B)"
    assert both.obs.iloc[picker.row][["symbol", "cell_type"]].tolist() == [symbol, "B"]

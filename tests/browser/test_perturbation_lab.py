"""The lab of perturbations: a slider moved by the keyboard moves the prediction, and reset brings it back."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def notebook(lab, running):
    return running(lab.copy("notebooks/perturbation_lab.ipynb"))


@pytest.fixture(scope="module")
def widget(notebook):
    notebook.execute("lab.reset(); lab.wait()")  # the notebook has moved one
    return notebook.page.locator(".sct-panel").filter(has=notebook.page.get_by_label("Compare with"))


@pytest.fixture(scope="module")
def slider(widget):
    """Of a mark that the gene has."""
    return widget.locator(".widget-slider:not(.sct-absent)").first.get_by_role("slider")


def a_slider_moves_the_number_and_reset_brings_it_back(notebook, widget, slider, seconds=20):
    """Take a mark away by the keyboard, then press Reset by the keyboard."""
    number = widget.locator(".sct-number").first
    before = number.inner_text()
    slider.focus()
    notebook.changes(number.inner_text, lambda: notebook.page.keyboard.press("Home"), seconds)
    reset = widget.get_by_role("button", name="Reset")
    reset.focus()
    assert notebook.changes(number.inner_text, lambda: notebook.page.keyboard.press("Enter"), seconds) == before


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_slider_and_reset(notebook, widget, slider, theme):
    notebook.theme(theme)
    a_slider_moves_the_number_and_reset_brings_it_back(notebook, widget, slider)
    assert notebook.contrast(widget.locator(".sct-number").first) >= 4.5
    assert notebook.contrast(widget.locator(".sct-small").first) >= 4.5
    widget.evaluate("element => element.scrollIntoView()")
    notebook.screenshot(theme.lower())


def test_edit_is_shown_as_code(notebook, widget, slider):
    code = widget.get_by_label("As code")
    assert "scale(0" in notebook.changes(code.input_value, lambda: slider.press("Home"))
    widget.get_by_role("button", name="Reset").press("Enter")


def test_console_holds_no_error(notebook, widget):
    assert notebook.complaints == []


@pytest.mark.parametrize(("owner", "method"), [("lab", "_do"), ("lab._sliders", "_on_change")])
def test_the_slider_test_fails_when_a_callback_is_broken(notebook, widget, slider, owner, method):
    notebook.execute(f"kept = {owner}.{method}; {owner}.{method} = lambda *args, **settings: None")
    try:
        with pytest.raises(AssertionError, match="nothing changed"):
            a_slider_moves_the_number_and_reset_brings_it_back(notebook, widget, slider, seconds=3)
    finally:
        notebook.execute(f"{owner}.{method} = kept; lab.reset(); lab.wait()")
    a_slider_moves_the_number_and_reset_brings_it_back(notebook, widget, slider)

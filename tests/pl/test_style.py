"""Colours that plots and widgets share."""

from __future__ import annotations

import itertools

from matplotlib.colors import to_rgb

from simplechrome_tk.pl._style import STATE_COLORS, colors
from simplechrome_tk.tl.latent._states import RULE


def test_each_chromatin_state_has_a_colour_that_differs_from_all_others():
    assert set(STATE_COLORS) == {name for name, _ in RULE}
    for first, second in itertools.combinations(STATE_COLORS.values(), 2):
        assert sum(abs(a - b) for a, b in zip(to_rgb(first), to_rgb(second), strict=True)) > 0.2


def test_a_state_keeps_its_colour_when_others_are_not_drawn():
    assert colors(["bivalent", "transcribed"]) == {name: STATE_COLORS[name] for name in ("bivalent", "transcribed")}


def test_other_names_get_a_palette_of_their_own():
    palette = colors(["bivalent", "mine"])
    assert list(palette) == ["bivalent", "mine"]
    assert palette["bivalent"] != STATE_COLORS["bivalent"]

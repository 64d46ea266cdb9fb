from __future__ import annotations

from simplechrome_tk.core.shorten import shorten


def test_a_few_names_and_a_count():
    assert shorten([]) == "none"
    assert shorten(["a", 2]) == "a, 2"
    assert shorten(iter("abcdefg"), limit=6) == "a, b, c, d, e, f and 1 more"
    assert len(shorten(["x" * 10_000] * 5_000)) < 1_000

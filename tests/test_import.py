"""The import of the package: what it loads, and what it leaves for later."""

from __future__ import annotations

import subprocess
import sys

import pytest

import simplechrome_tk as sct


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_heavy_modules_are_loaded_when_they_are_first_used():
    code = "import sys, simplechrome_tk as sct; print(*sys.modules); sct.pl, sct.widgets; print(*sys.modules)"
    before, after = (set(line.split()) for line in run(code).splitlines())
    assert not before & {"captum", "ipywidgets", "jscatter", "scanpy", "seaborn", "simplechrome_tk.widgets"}
    assert {"ipywidgets", "jscatter", "seaborn", "simplechrome_tk.widgets"} <= after


def test_every_public_name_is_offered_and_found():
    assert set(sct.__all__) <= set(dir(sct))
    for name in sct.__all__:
        assert getattr(sct, name) is not None


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sct.nothing

"""Notebooks are fit to be read and to be run: small, in order, free of this machine and of widget state."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted(ROOT.glob("tutorials/*.ipynb"))
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
MOST_BYTES = 500_000

every = pytest.mark.parametrize("path", TUTORIALS + NOTEBOOKS, ids=lambda path: path.name)


def cells(path: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]


@every
def test_small_and_without_widget_state(path: Path):
    assert path.stat().st_size <= MOST_BYTES, "make publish trims; smaller figures help"
    assert "widgets" not in json.loads(path.read_text())["metadata"], "make publish trims it"
    kinds = {kind for cell in cells(path) for output in cell["outputs"] for kind in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" not in kinds, "tag the cell `progress`, then make publish"


@every
def test_free_of_one_machine(path: Path):
    outputs = json.dumps([cell["outputs"] for cell in cells(path)])
    assert not re.search(r"(/home/|/root/|/Users/|/tmp/|[A-Z]:\\\\)", outputs)


@every
def test_one_parameters_cell_and_no_error(path: Path):
    tags = [tag for cell in cells(path) for tag in cell["metadata"].get("tags", [])]
    assert tags.count("parameters") == 1
    assert all(output["output_type"] != "error" for cell in cells(path) for output in cell["outputs"])


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.name)
def test_tutorials_were_run_in_order(path: Path):
    counts = [cell["execution_count"] for cell in cells(path) if "progress" not in cell["metadata"].get("tags", [])]
    assert None not in counts, "commit tutorials with outputs: make tutorials publish"
    assert counts == sorted(counts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_carry_no_outputs(path: Path):
    assert all(not cell["outputs"] for cell in cells(path))

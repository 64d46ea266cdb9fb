"""Notebooks can be read and run: they are small, in order, and free of widget state and paths of one machine."""

from __future__ import annotations

import copy
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted(ROOT.glob("tutorials/*.ipynb"))
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
MOST_BYTES = 500_000

Notebook = dict[str, Any]

every = pytest.mark.parametrize("path", TUTORIALS + NOTEBOOKS, ids=lambda path: path.name)


def code(notebook: Notebook) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tags(cell: dict[str, Any]) -> list[str]:
    return cell["metadata"].get("tags", [])


def check_small(notebook: Notebook) -> None:
    size = len(json.dumps(notebook, indent=1, ensure_ascii=False).encode())
    assert size <= MOST_BYTES, "too large: make publish trims; smaller figures help"


def check_no_widget_state(notebook: Notebook) -> None:
    assert "widgets" not in notebook["metadata"], "widget state: make publish trims it"
    kinds = {kind for cell in code(notebook) for output in cell["outputs"] for kind in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" not in kinds, "widget: tag the cell `progress`, then make publish"


def check_no_absolute_path(notebook: Notebook) -> None:
    text = json.dumps([[cell["source"], cell.get("outputs")] for cell in notebook["cells"]])
    found = re.search(r"(?<![\w.])(/(home|root|Users|tmp|work|mnt)/|[A-Z]:\\\\)", text)
    assert not found, f"path of one machine: {text[found.start() - 40 : found.end() + 40]}"


def check_one_parameters_cell(notebook: Notebook) -> None:
    number = [tag for cell in code(notebook) for tag in tags(cell)].count("parameters")
    assert number == 1, f"{number} cells tagged parameters, expected one"


def check_no_error(notebook: Notebook) -> None:
    kinds = [output["output_type"] for cell in code(notebook) for output in cell["outputs"]]
    assert "error" not in kinds, "error in an output: fix the cell and run it again"


def check_run_in_order(notebook: Notebook) -> None:
    counts = [cell["execution_count"] for cell in code(notebook) if "progress" not in tags(cell)]
    assert None not in counts, "not run: make tutorials publish"
    assert all(before < after for before, after in pairwise(counts)), f"out of order: {counts}"


def check_no_outputs(notebook: Notebook) -> None:
    assert not any(cell["outputs"] for cell in code(notebook)), "outputs: clear them"


ALL = (check_small, check_no_widget_state, check_no_absolute_path, check_one_parameters_cell, check_no_error)


@every
@pytest.mark.parametrize("check", ALL)
def test_every_notebook(path: Path, check):
    assert path.stat().st_size <= MOST_BYTES
    check(json.loads(path.read_text()))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.name)
def test_tutorials_were_run_in_order(path: Path):
    check_run_in_order(json.loads(path.read_text()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_carry_no_outputs(path: Path):
    check_no_outputs(json.loads(path.read_text()))


@every
def test_readme_of_tutorials_says_what_it_needs(path: Path):
    rows = [line for line in (ROOT / "tutorials" / "README.md").read_text().splitlines() if line.startswith("|")]
    address = path.name if path in TUTORIALS else f"../notebooks/{path.name}"
    assert any(f"({address})" in row for row in rows), f"no row of the table links to {address}"


def good() -> Notebook:
    printed = {"output_type": "stream", "name": "stdout", "text": ["see https://example.org/home/ and ../results\n"]}
    parameters = {
        "cell_type": "code",
        "metadata": {"tags": ["parameters"]},
        "source": ["rng = 0"],
        "outputs": [],
        "execution_count": 1,
    }
    shown = {
        "cell_type": "code",
        "metadata": {},
        "source": ["print(rng)"],
        "outputs": [printed],
        "execution_count": 2,
    }
    return {"metadata": {}, "cells": [{"cell_type": "markdown", "metadata": {}, "source": ["# A"]}, parameters, shown]}


def with_output(**output: Any) -> Notebook:
    notebook = good()
    notebook["cells"][2]["outputs"].append(output)
    return notebook


def with_cell(place: int, **changes: Any) -> Notebook:
    notebook = good()
    notebook["cells"][place] |= changes
    return notebook


def doubled() -> Notebook:
    notebook = good()
    notebook["cells"].append(copy.deepcopy(notebook["cells"][1]))
    return notebook


VIEW = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}}
BROKEN = {
    "large": (check_small, with_cell(0, source=["x" * MOST_BYTES])),
    "widget state": (check_no_widget_state, good() | {"metadata": {"widgets": {}}}),
    "widget": (check_no_widget_state, with_output(output_type="display_data", data=VIEW)),
    "path in output": (check_no_absolute_path, with_output(output_type="stream", text=["at /home/me/a.h5ad"])),
    "path in code": (check_no_absolute_path, with_cell(2, source=["read('/tmp/a.h5ad')"])),
    "path of Windows": (check_no_absolute_path, with_cell(2, source=["read(r'C:\\data')"])),
    "path in text": (check_no_absolute_path, with_cell(0, source=["in /Users/me"])),
    "no parameters": (check_one_parameters_cell, with_cell(1, metadata={})),
    "two parameters": (check_one_parameters_cell, doubled()),
    "error": (check_no_error, with_output(output_type="error", ename="E", evalue="", traceback=[])),
    "not run": (check_run_in_order, with_cell(2, execution_count=None)),
    "out of order": (check_run_in_order, with_cell(1, execution_count=3)),
    "run together": (check_run_in_order, with_cell(1, execution_count=2)),
    "outputs": (check_no_outputs, good()),
}


@pytest.mark.parametrize(("check", "notebook"), BROKEN.values(), ids=BROKEN)
def test_checks_can_fail(check, notebook):
    with pytest.raises(AssertionError):
        check(notebook)


@pytest.mark.parametrize("check", [*ALL, check_run_in_order])
def test_checks_can_pass(check):
    check(good())

"""The files that say what to install agree with one another."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"igraph": "python-igraph", "torch": "pytorch"}
"""Where conda's name differs from PyPI's."""
ENVIRONMENT_ONLY = {"pip": "", "python": ">=3.11"}
"""What conda installs besides the dependencies; pyproject says it elsewhere, or not at all."""
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tutorials/*.md")])
LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
FILE = re.compile(r"`([\w./-]+\.(?:py|md|csv|yml|toml|ipynb))`")


def versions(requirements: list[str]) -> dict[str, str]:
    """Name -> version bounds, normalised."""
    parsed = [Requirement(line) for line in requirements]
    return {canonicalize_name(requirement.name): str(requirement.specifier) for requirement in parsed}


def constraints() -> dict[str, str]:
    """The tested set: name -> version, with its operator."""
    return versions([line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")])


@pytest.fixture
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def required(project: dict) -> dict[str, str]:
    """Every dependency and the extras that `dev` gathers."""
    extras = project["optional-dependencies"]
    gathered = Requirement(extras["dev"][0])
    assert gathered.name == project["name"]
    return versions(project["dependencies"] + [line for extra in sorted(gathered.extras) for line in extras[extra]])


def test_conda_environment_has_the_dependencies_of_pyproject(project, required):
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = next(entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = versions([entry for entry in listed if isinstance(entry, str)])
    assert {name: conda.pop(name, None) for name in ENVIRONMENT_ONLY} == ENVIRONMENT_ONLY
    assert ENVIRONMENT_ONLY["python"] == project["requires-python"]
    assert from_pip[-1] == "-e ."
    expected = {CONDA_NAMES.get(name, name): bounds for name, bounds in required.items()}
    assert conda | versions(from_pip[:-1]) == expected


def test_constraints_pin_a_version_of_every_dependency_within_its_bounds(required):
    pins = constraints()
    for name, pin in pins.items():
        assert pin.startswith("=="), name
        assert "+" not in pin, f"{name}: a local version label installs nowhere else"
    for name, bounds in required.items():
        pinned = pins[name].removeprefix("==")
        assert Requirement(name + bounds).specifier.contains(pinned), f"{name}{bounds}: pinned {pinned}"


def test_every_dependency_has_one_lower_bound_which_test_min_installs(required):
    script = ROOT / ".ci" / "dependencies.py"
    printed = subprocess.run([sys.executable, script, "lowest"], check=True, capture_output=True, text=True).stdout
    lowest = versions(printed.splitlines())
    for name, bounds in required.items():
        bounds = Requirement(name + bounds).specifier
        assert [part.operator for part in bounds].count(">=") == 1, name
        if name in lowest and name != "torch":
            assert lowest.pop(name).replace("==", ">=") in map(str, bounds), name
    # Left is torch, whose lowest build costs gigabytes of CUDA. The linters and JupyterLab are not installed for these
    # tests, which run without linters, notebooks and browser.
    assert lowest == {"torch": constraints()["torch"]}


def installed_with(names: list[str]) -> set[str]:
    """Return ``names`` and all packages that they need, directly or not, in the environment that runs the tests."""
    found: set[str] = set()
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            for line in requires(name) or []:
                needed = Requirement(line)
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    left.append(canonicalize_name(needed.name))
    return found


def test_library_brings_the_widgets_and_the_extra_lab_brings_jupyterlab(project):
    hard = list(versions(project["dependencies"]))
    assert {"ipywidgets", "jupyter-scatter"} <= set(hard)
    assert "jupyterlab" not in installed_with(hard)
    assert list(versions(project["optional-dependencies"]["lab"])) == ["jupyterlab"]
    assert "lab" in Requirement(project["optional-dependencies"]["dev"][0]).extras


def test_quick_tests_of_ci_exist():
    script = (ROOT / ".ci" / "run").read_text()
    lists = re.findall(r'^quick="(?:\$quick )?([^"]*)"$', script, flags=re.MULTILINE)
    assert lists
    assert "\n" not in "".join(lists), "make takes a second line for another command"
    paths = " ".join(lists).split()
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_citation_file_cites_this_version(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in project["authors"]]


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_pages_lead_to_files_and_headings_that_exist(page):
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"no file {link}"
        assert not anchor or anchor in anchors(target), f"no heading {link}"


def test_files_that_pages_name_exist():
    folders = ("simplechrome_tk", "tests", "docs", "benchmarks", "tutorials", "notebooks", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*"))
    known = {f"/{path.relative_to(ROOT).as_posix()}" for path in files}
    missing = [
        f"{page.name}: {name}"
        for page in PAGES
        for name in FILE.findall(page.read_text())
        if not any(path.endswith(f"/{name}") for path in known)
    ]
    assert missing == []


def test_source_distribution_holds_all_that_git_tracks():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("a source distribution has no history to compare with")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    # hatchling adds these two by itself.
    expected = {f"/{path.split('/')[0]}" for path in tracked.splitlines()} - {"/.gitignore", "/pyproject.toml"}
    assert set(build["include"]) == expected

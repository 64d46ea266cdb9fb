"""The direct dependencies of pyproject.toml: their lowest versions, and the versions installed.

`dependencies.py lowest` prints constraints for pip; `dependencies.py installed` says what this Python has.
"""

import platform
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def required() -> list[Requirement]:
    """Every requirement of the package and of its tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"] + project["optional-dependencies"]["test"]]


def lowest() -> list[str]:
    """One line `name==version` for each: its lower bound, but torch as in the tested set.

    An older torch costs a download of gigabytes wherever the package index has CUDA builds alone.
    """
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    for requirement in required():
        if requirement.name != "torch":
            (bound,) = (part.version for part in requirement.specifier if part.operator == ">=")
            pins.append(f"{requirement.name}=={bound}")
    return pins


def installed() -> list[str]:
    """Python and the direct dependencies with the version of each that this Python imports."""
    names = sorted(requirement.name for requirement in required())
    return [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)]


if __name__ == "__main__":
    if sys.argv[1:] == ["lowest"]:
        print("\n".join(lowest()))
    elif sys.argv[1:] == ["installed"]:
        print(", ".join(installed()))
    else:
        sys.exit("usage: dependencies.py lowest|installed")

"""simplechrome_tk: how the histone marks of a gene, and of related genes, go together with its expression."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from simplechrome_tk import datasets, deepchrome, evaluation, get, io, nn, pp, tl
from simplechrome_tk.core.settings import settings
from simplechrome_tk.model import SimpleChrome, load_pretrained

if TYPE_CHECKING:
    from types import ModuleType

    from simplechrome_tk import pl, widgets

__version__ = version("simplechrome-tk")

__all__ = [
    "SimpleChrome",
    "datasets",
    "deepchrome",
    "evaluation",
    "get",
    "io",
    "load_pretrained",
    "nn",
    "pl",
    "pp",
    "settings",
    "tl",
    "widgets",
]

_LOADED_WHEN_USED = ("pl", "widgets")
"""Sub-packages that load seaborn, ipywidgets and jupyter-scatter, which a program without plots need not wait for."""


def __getattr__(name: str) -> "ModuleType":
    """Load a sub-package when it is first used; Python then finds it as an attribute and does not ask again."""
    if name in _LOADED_WHEN_USED:
        return import_module(f"{__name__}.{name}")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    """Return the names that completion offers, with sub-packages that are not loaded yet."""
    return sorted({*globals(), *__all__})

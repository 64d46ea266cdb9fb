"""simplechrome_tk: how histone marks, on a gene and on its neighbours, set its expression."""

from importlib.metadata import version

from simplechrome_tk import datasets, deepchrome, evaluation, get, io, nn, pl, pp, tl, widgets
from simplechrome_tk.core.settings import settings
from simplechrome_tk.model import SimpleChrome, load_pretrained, pretrained_card

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
    "pretrained_card",
    "settings",
    "tl",
    "widgets",
]

"""simplechrome_tk: how histone marks, on a gene and on its neighbours, set its expression."""

from importlib.metadata import version

from simplechrome_tk import datasets, get, io, nn, pl, pp, tl
from simplechrome_tk.model import SimpleChrome

__version__ = version("simplechrome-tk")

__all__ = ["SimpleChrome", "datasets", "get", "io", "nn", "pl", "pp", "tl"]

"""simplechrome_tk: how histone marks, on a gene and on its neighbours, set its expression."""

from simplechrome_tk import datasets, io, pp

__all__ = ["datasets", "io", "pp"]

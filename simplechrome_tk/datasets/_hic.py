"""Chromatin loops of the cell lines whose histone marks are public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simplechrome_tk.datasets._roadmap import CELL_TYPES
from simplechrome_tk.io._public import fetch, registry

if TYPE_CHECKING:
    from pathlib import Path


def hic_loops(cell_type: str) -> Path:
    """Load chromatin loops of GM12878 (E116), HeLa-S3 (E117) or K562 (E123), hg19, for ``sct.pp.contact_neighbors``.

    Downloads the list once (0.2 to 0.7 MB) and keeps it in the cache folder; set ``SIMPLECHROME_TK_CACHE`` to choose
    which.

    Parameters
    ----------
    cell_type
        Roadmap epigenome id.

    Returns
    -------
    pathlib.Path
        The list, gzipped, as :func:`simplechrome_tk.io.read_loops` reads it: 9,448 loops of E116, 3,094 of E117, 6,057
        of E123, with chromosomes named without ``chr``.

    Raises
    ------
    ValueError
        When the cell type is unknown.
    DatasetUnavailableError
        When the file is neither cached nor to be downloaded.

    Notes
    -----
    Called by HiCCUPS on in situ Hi-C (Rao et al. 2014, GSE63525), as carried by TargetFinder (Whalen et al. 2016). The
    map of GM12878 is the deepest, so that E116 has the most loops.

    Examples
    --------
    >>> sct.pp.contact_neighbors(adata, sct.datasets.hic_loops("E116"))  # doctest: +SKIP
    """
    if cell_type not in CELL_TYPES:
        msg = f"cell_type is {cell_type!r}; choose from {', '.join(CELL_TYPES)}."
        raise ValueError(msg)
    folder = f"targetfinder/{CELL_TYPES[cell_type]}/hi-c/"
    return fetch(next(path for path in registry() if path.startswith(folder)))

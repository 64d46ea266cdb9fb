"""The example data set of the tutorials."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any

from simplechrome_tk.core import keys as k
from simplechrome_tk.datasets._roadmap import CELL_TYPES, roadmap
from simplechrome_tk.datasets._simulate import simulate
from simplechrome_tk.io._public import CACHE_VARIABLE, DatasetUnavailableError, cache_folder

if TYPE_CHECKING:
    import anndata as ad

REQUIRE_VARIABLE = "SIMPLECHROME_TK_REQUIRE_DATA"

_BANNER = """\
################################################################################
##                                                                            ##
##   SIMULATED DATA: no figure below describes biology                        ##
##                                                                            ##
################################################################################
The public files are neither cached nor reachable, so that {n_genes:,} genes of
sct.datasets.simulate() replace {replaced}. What follows shows how the toolkit
works. Figures below do NOT describe biology.

Reason: {reason}

For the real data, connect to the network and run this again (about {megabytes} MB, kept
in {cache}),
or set {cache_variable} to a folder that holds the files.
To stop instead of simulating, set {require_variable}=1.
################################################################################"""


def example(cell_type: str = "E116", *, n_genes_simulated: int = 6_000, **kwargs: Any) -> ad.AnnData:
    """Load histone marks and expression of one cell type.

    When the public files are out of reach, simulated genes are returned, and a banner says so.

    Parameters
    ----------
    cell_type
        Roadmap epigenome id.
    n_genes_simulated
        Number of genes to simulate when the public files are neither cached nor reachable.
    **kwargs
        Passed to :func:`roadmap`; ``marks`` and ``windows`` hold for simulated data too, ``genes`` cannot.

    Returns
    -------
    anndata.AnnData
        What :func:`roadmap` or :func:`simulate` returns. ``uns["dataset"]`` says which: ``"roadmap"`` or
        ``"simulated"``.

    Raises
    ------
    DatasetUnavailableError
        When the files are out of reach and the environment variable ``SIMPLECHROME_TK_REQUIRE_DATA`` is set to
        anything but ``0``.
    ValueError
        As :func:`roadmap` and :func:`simulate` do.

    Examples
    --------
    >>> adata = sct.datasets.example()  # doctest: +SKIP
    >>> adata.uns[k.DATASET]  # doctest: +SKIP
    'roadmap'
    """
    try:
        adata = roadmap(cell_type, **kwargs)
    except DatasetUnavailableError as error:
        if os.environ.get(REQUIRE_VARIABLE, "") not in ("", "0"):
            raise
        kept = {name: kwargs[name] for name in ("marks", "windows") if name in kwargs}
        adata = simulate(n_genes_simulated, rng=list(CELL_TYPES).index(cell_type), **kept)
        replaced = f"roadmap({cell_type!r})" + (" and its genes" if kwargs.get("genes") is not None else "")
        print(format_banner(n_genes_simulated, replaced, error, megabytes=12))
        adata.uns[k.DATASET] = "simulated"
    else:
        adata.uns[k.DATASET] = "roadmap"
    return adata


def format_banner(n_genes: int, replaced: str, error: Exception, *, megabytes: int) -> str:
    """Return a banner that says that genes are simulated, why, and how to get real ones."""
    return _BANNER.format(
        n_genes=n_genes,
        replaced=replaced,
        reason=textwrap.fill(str(error), 80, break_long_words=False, break_on_hyphens=False),
        megabytes=megabytes,
        cache=cache_folder(),
        cache_variable=CACHE_VARIABLE,
        require_variable=REQUIRE_VARIABLE,
    )

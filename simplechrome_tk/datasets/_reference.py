"""Expression of DeepChrome's genes in all Roadmap epigenomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simplechrome_tk.io._reference import read_public_reference

if TYPE_CHECKING:
    import pandas as pd


def reference_expression() -> pd.DataFrame:
    """Load the expression of DeepChrome's genes in 56 Roadmap epigenomes.

    Downloads each of the 56 public tables once (6 MB in all) and keeps it in the cache folder; set
    ``SIMPLECHROME_TK_CACHE`` to choose which.

    Returns
    -------
    pandas.DataFrame
        ``log10(RPKM + 0.1)``, 19,795 genes (Ensembl ids) by 56 epigenomes (``"E003"`` and so on). Seven ids are listed
        twice; the first is kept.

    Raises
    ------
    DatasetUnavailableError
        When a file is neither cached nor to be downloaded.

    Notes
    -----
    Roadmap Epigenomics Consortium (2015), as tabulated by ShallowChrome (Frasca et al. 2022).

    Examples
    --------
    >>> table = sct.datasets.reference_expression()  # doctest: +SKIP
    >>> table.shape  # doctest: +SKIP
    (19795, 56)
    """
    return read_public_reference()

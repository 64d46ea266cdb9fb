"""The data set that was published with DeepChrome, and its accuracy."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.deepchrome._read import read as read_deepchrome
from simplechrome_tk.io._public import fetch, fetch_doi, registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

    from simplechrome_tk.deepchrome._read import Labels

_DOI = "10.5281/zenodo.2652278"
# Path below the cache folder; the file is called data.tar.gz in the record.
_ARCHIVE = "deepchrome/data.tar.gz"
# Cell type of the sample.
_SAMPLE = "E003"


def load(
    cell_types: str | Sequence[str] = "E003",
    *,
    sample: bool = False,
    labels: Labels = "published",
    orient: bool = True,
) -> ad.AnnData:
    """Read counts of five histone marks that DeepChrome and AttentiveChrome were trained on, 56 Roadmap epigenomes.

    Downloads the archive of Zenodo record 2652278 once (0.5 GB; an interrupted download is continued) and keeps it
    packed in the cache folder. A cell type is read without unpacking the rest to disk, which takes about ten seconds
    for one near the end of the archive.

    Parameters
    ----------
    cell_types
        Roadmap epigenome id, or several to stack along ``obs``.
    sample
        Read only 30 genes of E003, ten in each split, which the authors of AttentiveChrome keep beside their code as an
        example. This downloads 70 kB and the public tables (3 MB) in place of the archive.
    labels
        ``"published"``, which contradict RPKM for 49 of the 56 cell types, or ``"rpkm"``.
    orient
        Turn the bins of genes on the minus strand, so that all run from 5' to 3'.

    Returns
    -------
    anndata.AnnData
        As :func:`simplechrome_tk.deepchrome.read`, ``obs["split"]`` as published.

    Raises
    ------
    ValueError
        When a cell type is unknown, or the sample of another cell type than E003 is asked for.
    DatasetUnavailableError
        When the archive is neither cached nor to be downloaded, or has another checksum than Zenodo states.

    Notes
    -----
    Singh, Lanchantin, Sekhon and Qi (2019), https://doi.org/10.5281/zenodo.2652278. Sample:
    https://github.com/QData/AttentiveChrome, MIT licence.

    Examples
    --------
    >>> adata = sct.deepchrome.load(sample=True)  # doctest: +SKIP
    >>> adata = sct.deepchrome.load("E003", labels="rpkm")  # doctest: +SKIP
    """
    cells = [cell_types] if isinstance(cell_types, str) else list(cell_types)
    known = _cell_types()
    unknown = [cell for cell in cells if cell not in known]
    if unknown or not cells or len(set(cells)) < len(cells):
        msg = f"cell_types is {', '.join(cells) or 'empty'}; choose from {', '.join(known)}, each once."
        raise ValueError(msg)
    if sample:
        return _load_sample(cells, labels=labels, orient=orient)
    return read_deepchrome(fetch_doi(_DOI, _ARCHIVE), cell_types=cells, labels=labels, orient=orient)


def _load_sample(cells: Sequence[str], *, labels: Labels, orient: bool) -> ad.AnnData:
    """Read the published sample of 30 genes; raise ``ValueError`` unless its cell type is the one asked for."""
    if list(cells) != [_SAMPLE]:
        msg = f"cell_types is {', '.join(cells)}; the sample holds {_SAMPLE} alone: sct.deepchrome.load(sample=True)."
        raise ValueError(msg)
    files = [fetch(f"attentivechrome/{split}.csv") for split in k.SPLITS]
    return read_deepchrome(files[0].parent, cell_type=_SAMPLE, labels=labels, orient=orient)


def load_expression(*, repeated: bool = False) -> pd.DataFrame:
    """Read RPKM of DeepChrome's 19,795 genes in 56 Roadmap epigenomes.

    Downloads 28 MB once.

    Parameters
    ----------
    repeated
        Keep the seven rows that repeat a gene, as the published files of counts do.

    Returns
    -------
    pandas.DataFrame
        Shape ``(19795, 56)``, or ``(19802, 56)`` with repeated rows, indexed by Ensembl id, in order of these; a column
        for each epigenome.

    Raises
    ------
    DatasetUnavailableError
        When a file is neither cached nor to be downloaded.

    Notes
    -----
    Roadmap Epigenomics as tabulated by ShallowChrome (Frasca et al. 2022).
    """
    listed = pd.read_csv(fetch("shallowchrome/GeneFile.txt"), sep="\t", header=None)
    ids = listed[3].str.partition("_")[0]
    columns = {cell: np.loadtxt(fetch(f"shallowchrome/targets/{cell}/T.csv")) for cell in _cell_types()}
    table = pd.DataFrame(columns, index=pd.Index(ids, name=None))
    return table if repeated else table[~table.index.duplicated()]


def load_scores() -> pd.Series:
    """Read the AUROC that DeepChrome (Singh et al. 2016) reports for each of 56 Roadmap epigenomes.

    Returns
    -------
    pandas.Series
        Indexed by epigenome, two decimals.

    Raises
    ------
    DatasetUnavailableError
        When the file is neither cached nor to be downloaded.
    """
    table = pd.read_csv(fetch("shallowchrome/DeepChrome_scores.txt"), sep=":", header=None, index_col=0)
    return table[1].rename("AUROC").rename_axis(None)


def _cell_types() -> list[str]:
    """Return the 56 Roadmap epigenomes whose expression is public."""
    found = (re.fullmatch(r"shallowchrome/targets/(E\d+)/T\.csv", path) for path in registry())
    return sorted(match[1] for match in found if match)

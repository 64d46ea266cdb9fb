"""Example files of tracks, genes and expression, in the formats that a laboratory has."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.layout import region
from simplechrome_tk.datasets._example import REQUIRE_VARIABLE, format_banner
from simplechrome_tk.datasets._pilot_tracks import pilot_regions, replacing, write_pilot_tracks
from simplechrome_tk.datasets._roadmap import CORE_MARKS
from simplechrome_tk.datasets._simulate import simulate
from simplechrome_tk.io._public import DatasetUnavailableError, fetch

if TYPE_CHECKING:
    import anndata as ad

_CELL_TYPES = ("E003", "E116")
# bp around the TSS that a pilot region must cover.
_MARGIN = 5_000
# bp, resolution of simulated tracks.
_STEP = 100


class ExampleTracks(NamedTuple):
    """Files of one cell type, for :func:`simplechrome_tk.pp.from_tracks`.

    Attributes
    ----------
    tracks
        Mark -> its track: bigWig, or gzipped bedGraph where simulated.
    annotation
        Table of genes: ``gene_id``, ``symbol``, ``chrom``, ``start``, ``end``, ``strand``.
    expression
        Table of ``gene_id`` and ``RPKM``.
    simulated
        Whether the files are simulated.
    """

    tracks: dict[str, Path]
    annotation: Path
    expression: Path
    simulated: bool


def example_tracks(
    cell_type: str = "E116", *, n_genes_simulated: int = 600, folder: str | os.PathLike[str] | None = None
) -> ExampleTracks:
    """Write tracks, annotation and expression of one cell type as files.

    When the public data are out of reach, simulated files are written, and a banner says so.

    The tracks cover the 42 pilot regions of ENCODE, 1 % of the genome: the signal of the Roadmap Epigenomics project,
    -log10 p of enrichment over the control in steps of 25 bp, hg19. They are written from arrays that are downloaded
    once (about 15 MB for a cell type) and kept in the cache folder; set ``SIMPLECHROME_TK_CACHE`` to choose which.

    Parameters
    ----------
    cell_type
        ``"E003"`` (H1 embryonic stem cells) or ``"E116"`` (GM12878, B cells).
    n_genes_simulated
        Number of genes to simulate when files are out of reach.
    folder
        Where to write the files, in place of those of an earlier call. By default a temporary folder, which is removed
        when Python ends.

    Returns
    -------
    ExampleTracks
        Paths of the files. The annotation holds the genes whose TSS lies 5 kb or more inside a pilot region, the
        expression all genes that Roadmap measured.

    Raises
    ------
    DatasetUnavailableError
        When files are out of reach and the environment variable ``SIMPLECHROME_TK_REQUIRE_DATA`` is set to anything
        but ``0``.
    ValueError
        When the cell type is another one, or as :func:`simulate` does.

    Notes
    -----
    Signal: Roadmap Epigenomics Consortium 2015, as the Avocado project publishes it (Schreiber et al. 2020,
    https://github.com/jmschrei/avocado, Apache-2.0). The arrays come without coordinates; the starts of the regions are
    exact to about 25 bp, those of six regions with few genes to 500 bp. Genes and expression: as for :func:`roadmap`.

    Examples
    --------
    >>> files = sct.datasets.example_tracks("E116")  # doctest: +SKIP
    >>> adata = sct.pp.from_tracks(files.tracks, files.annotation, files.expression)  # doctest: +SKIP
    """
    if cell_type not in _CELL_TYPES:
        msg = f"there are no example tracks of {cell_type!r}; choose one of {', '.join(_CELL_TYPES)}."
        raise ValueError(msg)
    target = _make_folder(folder)
    try:
        genes, expression = _real_genes(cell_type)
        tracks, simulated = write_pilot_tracks(cell_type, CORE_MARKS, target), False
    except DatasetUnavailableError as error:
        if os.environ.get(REQUIRE_VARIABLE, "") not in ("", "0"):
            raise
        adata = simulate(n_genes_simulated, rng=int(cell_type[1:]))
        print(format_banner(n_genes_simulated, f"the tracks of {cell_type}", error, megabytes=15))
        tracks = _write_tracks(adata, cell_type, target)
        genes = adata.obs[[k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND]].astype({k.START: int, k.END: int})
        expression, simulated = adata.obs[k.EXPRESSION].rename("RPKM"), True
    annotation, values = target / f"{cell_type}-genes.hg19.tsv", target / f"{cell_type}-expression.tsv"
    for table, path in ((genes, annotation), (expression, values)):
        with replacing(path) as part:
            table.to_csv(part, sep="\t", index_label="gene_id")
    return ExampleTracks(tracks, annotation, values, simulated)


def _make_folder(folder: str | os.PathLike[str] | None) -> Path:
    """Return the folder to write to, a temporary one where none is given."""
    if folder is None:
        path = Path(tempfile.mkdtemp(prefix="simplechrome_tk-"))
        atexit.register(shutil.rmtree, path, ignore_errors=True)
        return path
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _real_genes(cell_type: str) -> tuple[pd.DataFrame, pd.Series]:
    """Return the genes in the pilot regions, and the expression of all genes."""
    bounds = pd.read_csv(fetch("abc/CollapsedGeneBounds.hg19.bed"), sep="\t").rename(
        columns={"#chr": k.CHROM, "name": k.SYMBOL}
    )
    genes = bounds.drop_duplicates("Ensembl_ID").set_index("Ensembl_ID")
    tss = genes[k.START].where(genes[k.STRAND] == "+", genes[k.END])
    inside = np.zeros(len(genes), dtype=bool)
    for chrom, start, end in pilot_regions()[[k.CHROM, k.START, k.END]].itertuples(index=False):
        inside |= ((genes[k.CHROM] == chrom) & tss.between(start + _MARGIN, end - _MARGIN)).to_numpy()
    listed = pd.read_csv(fetch("shallowchrome/GeneFile.txt"), sep="\t", header=None)[3].str.split("_").str[0]
    rpkm = np.loadtxt(fetch(f"shallowchrome/targets/{cell_type}/T.csv"))
    expression = pd.Series(rpkm, index=listed, name="RPKM")
    return genes.loc[inside, [k.SYMBOL, k.CHROM, k.START, k.END, k.STRAND]], expression[~expression.index.duplicated()]


def _write_tracks(adata: ad.AnnData, cell_type: str, folder: Path) -> dict[str, Path]:
    """Write a bedGraph of each mark from simulated bins; around a TSS its own bins replace those of gene bodies."""
    marks = list(adata.var[k.MARK].cat.categories)
    around, body = region(adata, "tss"), region(adata, "body")
    reach = around.shape[2] // 2
    parts: dict[str, list[pd.DataFrame]] = {mark: [] for mark in marks}
    for chrom, genes in adata.obs.reset_index(drop=True).groupby(k.CHROM, observed=True):
        signal = np.zeros((len(marks), int(genes[k.END].max()) // _STEP + 2 * reach), dtype=np.float32)
        for over_tss in (False, True):
            for i, strand, start, end, tss in genes[[k.STRAND, k.START, k.END, k.TSS]].itertuples():
                if over_tss:
                    first, bins = int(tss) // _STEP - reach, around[i]
                else:
                    first, last = int(start) // _STEP, max(int(end) // _STEP, int(start) // _STEP + 1)
                    bins = body[i][:, np.arange(last - first) * body.shape[2] // (last - first)]
                signal[:, first : first + bins.shape[1]] = bins if strand == "+" else bins[:, ::-1]
        for mark, values in zip(marks, signal, strict=True):
            # Neighbouring bins of one value are one line of the file; stretches without signal are left out.
            edges = np.flatnonzero(np.diff(values, prepend=np.nan, append=np.nan) != 0)
            runs = pd.DataFrame(
                {
                    k.CHROM: chrom,
                    k.START: edges[:-1] * _STEP,
                    k.END: edges[1:] * _STEP,
                    "signal": values[edges[:-1]],
                }
            )
            parts[mark].append(runs[runs["signal"] > 0])
    paths = {mark: folder / f"{cell_type}-{mark}.simulated.bedGraph.gz" for mark in marks}
    for mark, path in paths.items():
        with replacing(path) as part:
            pd.concat(parts[mark]).to_csv(
                part, sep="\t", header=False, index=False, compression={"method": "gzip", "mtime": 0}
            )
    return paths

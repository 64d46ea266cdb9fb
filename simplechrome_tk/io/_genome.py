"""Chromosome names and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import bioframe
import pandas as pd

from simplechrome_tk import _keys as k
from simplechrome_tk.io._text import read_rows

if TYPE_CHECKING:
    import os


def chrom_sizes(genome: str | os.PathLike[str] | Mapping[str, int] | pd.DataFrame | pd.Series) -> dict[str, int]:
    """Return the size of each chromosome, in bp; ``genome`` as for :func:`read_annotation`.

    Raises
    ------
    ValueError
        When there is no size, or one is no positive whole number.
    """
    source = "genome"
    assemblies = set(bioframe.assemblies_available()["provider_build"])
    if isinstance(genome, str) and genome in assemblies:
        genome = bioframe.assembly_info(genome, roles="all").chromsizes
    if isinstance(genome, pd.DataFrame):
        columns = genome if genome.shape[1] > 1 else genome.reset_index()
        pairs = list(columns.iloc[:, :2].itertuples(index=False))
    elif isinstance(genome, Mapping | pd.Series):
        pairs = list(genome.items())
    else:
        source = str(genome)
        if not Path(genome).exists():
            known = ", ".join(sorted(assemblies))
            msg = f"genome: no file {source}, and no assembly that bioframe knows: {known}."
            raise ValueError(msg)
        pairs = [(*fields, None)[:2] for _, fields in read_rows(Path(genome))]
    sizes = pd.to_numeric(pd.Series([size for _, size in pairs], dtype=object), errors="coerce")
    wrong = ~((sizes > 0) & (sizes % 1 == 0)).to_numpy()
    if wrong.any() or not pairs:
        shown = pairs[int(wrong.argmax())] if pairs else "nothing"
        msg = f"{source}: expected names of chromosomes and their sizes in bp, whole numbers; found {shown}."
        raise ValueError(msg)
    return {str(name): int(size) for (name, _), size in zip(pairs, sizes, strict=True)}


def check_naming(chrom: pd.Series, *, source: str) -> None:
    """Raise when a chromosome goes by two names."""
    counts = chrom.value_counts()
    twice = [(name, _with_chr(name)) for name in counts.index if _with_chr(name) != name and _with_chr(name) in counts]
    if twice:
        bare, full = twice[0]
        msg = (
            f"{source}: chromosome names are mixed: {counts[bare]} rows on {bare!r} and {counts[full]} on {full!r}. "
            "Were two annotations joined? Read each alone, or give each chromosome one name."
        )
        raise ValueError(msg)


def _with_chr(name: str) -> str:
    return "chrM" if name == "MT" else name if name.startswith("chr") else f"chr{name}"


def check_genome(table: pd.DataFrame, sizes: Mapping[str, int], *, source: str) -> int:
    """Raise when a gene lies beyond the end of its chromosome; count the rows on chromosomes that are not listed."""
    size = table[k.CHROM].map(sizes)
    if size.isna().all():
        names, listed = sorted(table[k.CHROM].unique()), sorted(sizes)
        fix = "Give both the same names"
        if any(_with_chr(name) in sizes for name in names):
            fix = "Set genes['chrom'] = 'chr' + genes['chrom'] in the table without genome, and pass that"
        elif {_with_chr(name) for name in listed}.intersection(names):
            fix = (
                "Set genes['chrom'] = genes['chrom'].str.removeprefix('chr') in the table without genome, and pass that"
            )
        msg = (
            f"{source}: genes and genome share no chromosome name (genes: {', '.join(names[:4])}; genome: "
            f"{', '.join(listed[:4])}). {fix}."
        )
        raise ValueError(msg)
    reach = table[[k.END, k.TSS]].max(axis=1)
    beyond = reach > size
    if beyond.any():
        first = table[beyond].iloc[0]
        msg = (
            f"{source}: {int(beyond.sum())} of {len(table)} rows lie beyond the end of their chromosome, the first "
            f"{first.name!r} ({first[k.SYMBOL]}): it reaches {first[k.CHROM]}:{int(reach[beyond].iloc[0]):,}, and "
            f"{first[k.CHROM]} ends at {int(size[beyond].iloc[0]):,} bp. The assemblies probably differ (hg19 and "
            "hg38?): use annotation, tracks and genome of one assembly, or lift one of them over."
        )
        raise ValueError(msg)
    return int(size.isna().sum())

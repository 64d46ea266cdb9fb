"""Names and sizes of chromosomes, and the check that annotation, tracks and genome belong to one assembly."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import bioframe
import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.io._gene_records import describe_places, is_circular
from simplechrome_tk.io._text import read_rows

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    Genome: TypeAlias = str | os.PathLike[str] | Mapping[str, int] | pd.DataFrame | pd.Series

logger = logging.getLogger(__name__)

# Up to this share of genes beyond the end of their chromosome is taken for errors in the annotation; a larger share
# means that the annotation belongs to another assembly.
_FEW = 0.01

_FIX = "Use annotation, tracks and genome of one assembly, or lift one of them over"


def read_chrom_sizes(genome: Genome) -> dict[str, int]:
    """Return the size of each chromosome in bp, from any form of ``genome`` that :func:`read_annotation` accepts.

    Raises
    ------
    ValueError
        When there is no size, or one is no positive whole number.
    """
    source = "genome"
    if isinstance(genome, str):
        assembly = {name.lower(): name for name in assemblies()}.get(genome.lower())
        if assembly is not None:
            genome = assembly_sizes(assembly)
    if isinstance(genome, pd.DataFrame):
        columns = genome if genome.shape[1] > 1 else genome.reset_index()
        pairs = list(columns.iloc[:, :2].itertuples(index=False))
    elif isinstance(genome, Mapping | pd.Series):
        pairs = list(genome.items())
    else:
        source = str(genome)
        if not Path(genome).exists():
            known = ", ".join(assemblies())
            msg = f"genome: no file {source}, and no assembly that bioframe knows: {known}."
            raise ValueError(msg)
        # A row of one field has no size, and is refused below.
        pairs = [(fields[0], fields[1] if len(fields) > 1 else None) for _, fields in read_rows(Path(genome))]
    sizes = pd.to_numeric(pd.Series([size for _, size in pairs], dtype=object), errors="coerce")
    wrong = ~((sizes > 0) & (sizes % 1 == 0)).to_numpy()
    if wrong.any() or not pairs:
        shown = pairs[int(wrong.argmax())] if pairs else "nothing"
        msg = f"{source}: expected names of chromosomes and their sizes in bp, whole numbers; found {shown}."
        raise ValueError(msg)
    return {str(name): int(size) for (name, _), size in zip(pairs, sizes, strict=True)}


@cache
def assemblies() -> list[str]:
    """Return the names of the assemblies whose chromosome sizes are known."""
    return sorted(set(bioframe.assemblies_available()["provider_build"]))


@cache
def assembly_sizes(name: str) -> Mapping[str, int]:
    """Return the size of each chromosome of an assembly, in bp; ``name`` is one of :func:`assemblies`.

    The sizes are read from the tables of bioframe. Its own ``assembly_info`` (version 0.8) fails for tables without
    aliases (mm9, dm3) and for names with a dot, and returns the sizes of danRer10 for danRer11.
    """
    known = bioframe.assemblies_available()
    file = known.loc[known["provider_build"] == name, "seqinfo"].iloc[0]
    folder = resources.files("bioframe.io") / "data"
    own = folder / f"{name}.seqinfo.tsv"
    with (own if own.is_file() else folder / file).open(encoding="utf-8") as handle:
        table = pd.read_table(handle)
    return dict(zip(table["name"], table["length"].astype(int).tolist(), strict=True))


def find_assembly(comments: Iterable[str]) -> str:
    """Return the one assembly that comments name, or to which they say the genes were lifted over; else ``""``."""
    text = "\n".join(comments)
    lifted = re.search(r"(?:mapped|lifted)(?: over)? to (\S+)", text)
    text = lifted[1] if lifted else text
    # GRCh38 and hg38 are one assembly: of the names that share their sizes, the first one stands for all.
    found = {
        min(other for other in assemblies() if assembly_sizes(other) == assembly_sizes(name))
        for name in assemblies()
        if re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)
    }
    return found.pop() if len(found) == 1 else ""


def check_one_naming(chrom: pd.Series, *, source: str) -> None:
    """Raise when a chromosome has two names, such as ``1`` and ``chr1``."""
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
    """Return the name of a chromosome as UCSC writes it."""
    if name == "MT":
        return "chrM"
    return name if name.startswith("chr") else f"chr{name}"


def merge_lengths(sources: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return the length of each chromosome that any source gives; raise when two sources differ.

    Parameters
    ----------
    sources
        Name of a source in messages -> chromosome -> its length in bp. ``1`` and ``chr1`` are one chromosome.

    Returns
    -------
    dict[str, int]
        Chromosome, by each of its names -> length in bp. Mitochondria whose lengths differ are left out.

    Raises
    ------
    ValueError
        When lengths differ. Those of circular chromosomes may, with a warning: there are two versions of hg19 with
        different mitochondria.
    """
    # Name as UCSC writes it -> length, and the first source that gives it.
    known: dict[str, tuple[int, str]] = {}
    sizes: dict[str, int] = {}
    differing_circular: set[str] = set()
    for source, lengths in sources.items():
        for name, length in lengths.items():
            known.setdefault(_with_chr(name), (length, source))
            sizes.setdefault(name, length)
        differing = [name for name, length in lengths.items() if known[_with_chr(name)][0] != length]
        if not differing:
            continue
        circular = is_circular(pd.Series(differing, dtype=str)).tolist()
        linear = [name for name, ring in zip(differing, circular, strict=True) if not ring]
        name = linear[0] if linear else differing[0]
        other_length, other = known[_with_chr(name)]
        found = (
            f"{name} has {other_length:,} bp in {other}{_assembly_of(name, other_length)} and "
            f"{lengths[name]:,} bp in {source}{_assembly_of(name, lengths[name])}"
        )
        if linear:
            more = f", and {len(differing) - 1:,} more of its chromosomes differ" if len(differing) > 1 else ""
            msg = f"chromosome lengths differ: {found}{more}. {_FIX}."
            raise ValueError(msg)
        logger.warning("%s; signal and genes there may be shifted.", found)
        differing_circular |= set(differing)
    return {name: length for name, length in sizes.items() if name not in differing_circular}


def _assembly_of(chrom: str, length: int) -> str:
    """Return text that names the assemblies with a chromosome of this length; empty if there is none."""
    found = [name for name in assemblies() if assembly_sizes(name).get(_with_chr(chrom)) == length]
    return f" (as in {', '.join(found)})" if found else ""


def check_ends(ends: Mapping[str, float], sizes: Mapping[str, int], *, source: str) -> None:
    """Raise when intervals reach beyond the end of a chromosome.

    Parameters
    ----------
    ends
        Chromosome -> where the last interval ends, in bp.
    sizes
        Chromosome -> its length in bp; others are not checked.
    source
        Name of the source of the intervals in messages.
    """
    beyond = [name for name, end in ends.items() if end > sizes.get(name, np.inf)]
    if beyond:
        name = beyond[0]
        msg = (
            f"{source}: rows reach beyond the end of {shorten(beyond)}: on {name} to {ends[name]:,.0f}, and {name} has "
            f"{sizes[name]:,} bp{_assembly_of(name, sizes[name])}. They are probably of another assembly: take those "
            "of the genome's. Where a peak caller has only extended its last fragments, bedClip cuts them off."
        )
        raise ValueError(msg)


def check_shared_names(table: pd.DataFrame, sizes: Mapping[str, int], *, source: str) -> int:
    """Raise when genes and genome share no chromosome name; count the rows on chromosomes not in the genome."""
    listed_in = table[k.CHROM].isin(list(sizes))
    if not listed_in.any():
        names, listed = sorted(table[k.CHROM].unique()), sorted(sizes)
        fix = "Give both the same names"
        if any(_with_chr(name) in sizes for name in names):
            fix = "Set genes['chrom'] = 'chr' + genes['chrom'] in the table without genome, and pass that"
        elif {_with_chr(name) for name in listed}.intersection(names):
            fix = (
                "Set genes['chrom'] = genes['chrom'].str.removeprefix('chr') in the table without genome, and pass that"
            )
        msg = (
            f"{source}: genes and genome share no chromosome name (genes: {shorten(names, limit=4)}; genome: "
            f"{shorten(listed, limit=4)}). {fix}."
        )
        raise ValueError(msg)
    return int((~listed_in).sum())


def drop_beyond_ends(
    table: pd.DataFrame, lengths: Mapping[str, Mapping[str, int]], *, source: str
) -> tuple[pd.DataFrame, list[str], dict[str, int]]:
    """Leave out genes that reach beyond the end of their chromosome.

    One such gene is taken for an error in the annotation; so are a few genes that start on the chromosome, and all
    genes across the origin of a circular one. More such genes mean that the annotation belongs to another assembly.

    Parameters
    ----------
    table
        Genes as :func:`read_annotation` returns them.
    lengths
        Source -> chromosome -> its length in bp, as for :func:`merge_lengths`.
    source
        Name of the table in messages.

    Returns
    -------
    tuple
        The genes that are kept; ids and places of the others; chromosome -> the length on which all sources agree.

    Raises
    ------
    ValueError
        When too many genes lie beyond the end of their chromosome, or when lengths differ.
    """
    sizes = merge_lengths(lengths)
    size = table[k.CHROM].map(sizes).astype(float)
    reach = table[[k.END, k.TSS]].astype(float).max(axis=1)
    beyond = reach > size
    first_base = table[[k.START, k.TSS]].astype(float).min(axis=1)
    linear = beyond & ~is_circular(table[k.CHROM])
    ids = table["gene_id"]
    # Genes that begin behind the end cannot be on this chromosome at all.
    outside = ids[linear & (first_base >= size)].nunique()
    if beyond.all() or outside > 1 or ids[linear].nunique() > max(1, _FEW * ids.nunique()):
        first = table[linear if linear.any() else beyond].iloc[0]
        end = int(size[first.name])
        of = next(name for name, known in lengths.items() if first[k.CHROM] in known)
        msg = (
            f"{source}: {int(beyond.sum())} of {len(table)} rows lie beyond the end of their chromosome, the first "
            f"{first.name!r} ({first[k.SYMBOL]}): it reaches {first[k.CHROM]}:{int(reach[first.name]):,}, and "
            f"{first[k.CHROM]} ends at {end:,} bp in {of}{_assembly_of(first[k.CHROM], end)}. The assemblies probably "
            f"differ (hg19 and hg38?). {_FIX}."
        )
        raise ValueError(msg)
    left_out = table[beyond]
    return table[~beyond], describe_places(left_out.assign(id=left_out.index)).tolist(), sizes

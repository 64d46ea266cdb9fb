"""Gene tables of UCSC's download server, which have no header."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from simplechrome_tk.core import keys as k

if TYPE_CHECKING:
    from collections.abc import Sequence

# Starts or ends of exons.
_POSITIONS = re.compile(r"(?:\d+,)*\d+,?")

# Number of columns from chrom to exonFrames in the format genePredExt.
_EXTENDED = 14


def find_ucsc_columns(fields: Sequence[str]) -> dict[str, int] | None:
    """Return the places of the columns in refGene, refFlat, knownGene and other genePred tables; None for others.

    After the chromosome, these tables hold strand, the bounds of transcript and coding sequence, the number of exons
    and their starts and ends. Before the chromosome stands the transcript, and before that a number (``bin``) or the
    gene (refFlat).
    """
    for chrom in (1, 2):
        rest = [field.strip() for field in fields[chrom + 1 :]]
        if len(rest) < 8 or rest[0] not in ("+", "-") or not all(field.isdigit() for field in rest[1:6]):
            continue
        if not all(_POSITIONS.fullmatch(field) for field in rest[6:8]):
            continue
        # The column of the gene: first in refFlat, name2 in genePredExt, else the transcript stands for it.
        gene = chrom - 1
        if chrom == 2 and not fields[0].strip().isdigit():
            gene = 0
        elif len(fields) - chrom >= _EXTENDED:
            gene = chrom + 10
        return {
            "id": gene,
            "transcript": chrom - 1,
            k.CHROM: chrom,
            k.STRAND: chrom + 1,
            k.START: chrom + 2,
            k.END: chrom + 3,
        }
    return None

"""Formats that the first bytes of a file give away, whatever its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

HEAD = 512
"""Bytes that are enough to tell."""


class Magic(NamedTuple):
    """What a file is by its first bytes."""

    name: str
    """With its article: ``a BAM file``."""

    fix: str
    """What to do with it; ``{}`` stands for its path."""


_TRACK = "Pass it as a track to sct.pp.from_tracks"
_FORMATS: dict[bytes, Magic] = {
    rb"\x26\xfc\x8f\x88|\x88\x8f\xfc\x26": Magic("a bigWig file", _TRACK + ", or to sct.pp.bin_bigwig"),
    rb"BAM\x01": Magic("a BAM file", _TRACK + ", or to sct.pp.bin_reads"),
    rb"\xeb\xf2\x89\x87|\x87\x89\xf2\xeb": Magic("a bigBed file", "Run: bigBedToBed {} intervals.bed"),
    rb"CRAM[\x01-\x04]": Magic(
        "a CRAM file", "Run: samtools view -b -T genome.fa -o reads.bam {} && samtools index reads.bam"
    ),
    rb"BAI\x01|CSI\x01|TBI\x01": Magic("an index", "Pass the file that it is the index of"),
    rb"\x89HDF\r\n": Magic("an HDF5 file (h5ad, cool, loom)", "Export what is needed of it as a table"),
    rb"HIC\x00": Magic("a .hic file of contacts", "Call loops on it: java -jar juicer_tools.jar hiccups {} loops"),
    rb"PK\x03\x04|\xd0\xcf\x11\xe0": Magic(
        "a zip archive or an Excel workbook", "Unzip it, or save the sheet as tab-separated text"
    ),
    rb"\x1f\x8b": Magic("a gzip file within a gzip file", "Run: gunzip, once, on {}"),
    rb"BZh[1-9]1AY": Magic("a bzip2 file", "Run: bunzip2 {}"),
    rb"\xfd7zXZ\x00": Magic("an xz file", "Run: unxz {}"),
    rb"\x28\xb5\x2f\xfd": Magic("a zstd file", "Run: unzstd {}"),
    rb".{257}ustar": Magic("a tar archive", "Run: tar -xf {}, and pass one of its files"),
    rb"\x43\x27\x41\x1a|\x1a\x41\x27\x43": Magic("a genome sequence (2bit)", "Pass intervals or signal along it"),
    rb"PAR1[\x15-\x1f]": Magic("a Parquet file", "Read it with pandas.read_parquet('{}') and pass the table"),
    rb"NCBI\.sra": Magic("an SRA archive of raw reads", "Map its reads to the genome first"),
    rb"%PDF-": Magic("a PDF", "Pass the table behind it"),
    rb"\xff\xfe|\xfe\xff": Magic(
        "UTF-16 text, as Excel's 'Unicode text'", "Run: iconv -f UTF-16 -t UTF-8 {} > utf8.txt"
    ),
    rb"(?i)\s*<(!doctype|html|\?xml)": Magic("a web page", "The download has failed; open the address in a browser"),
    rb"version https://git-lfs": Magic("a pointer to a file in Git LFS", "Run: git lfs pull, where it came from"),
}
"""Pattern at the start of the file, gzip taken off -> what it is."""


def magic_of(head: bytes) -> Magic | None:
    """Return what the first ``HEAD`` bytes of a file give away; None of text without such a mark."""
    return next((found for start, found in _FORMATS.items() if re.match(start, head, re.DOTALL)), None)


def refuse_binary(head: bytes, path: Path) -> None:
    """Raise ``ValueError`` with what a file is and what to do with it, where its first bytes give it away."""
    if found := magic_of(head):
        msg = f"{path}: this is {found.name} by its content; expected a text file. {found.fix.format(path)}."
        raise ValueError(msg)

"""Binary and other formats that the first bytes of a file identify, whatever its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 512
"""Number of bytes at the start of a file that identify its format."""


class FileFormat(NamedTuple):
    """A file format, and how to use such a file."""

    name: str
    """Name with its article, such as ``a BAM file``."""

    fix: str
    """How to use the file; ``{}`` stands for its path."""


_TRACK = "Pass it as a track to sct.pp.from_tracks"
_FORMATS: dict[bytes, FileFormat] = {
    rb"\x26\xfc\x8f\x88|\x88\x8f\xfc\x26": FileFormat("a bigWig file", _TRACK + ", or to sct.pp.bin_bigwig"),
    rb"BAM\x01": FileFormat("a BAM file", _TRACK + ", or to sct.pp.bin_reads"),
    rb"\xeb\xf2\x89\x87|\x87\x89\xf2\xeb": FileFormat("a bigBed file", "Run: bigBedToBed {} intervals.bed"),
    rb"CRAM[\x01-\x04]": FileFormat(
        "a CRAM file", "Run: samtools view -b -T genome.fa -o reads.bam {} && samtools index reads.bam"
    ),
    rb"BAI\x01|CSI\x01|TBI\x01": FileFormat("an index", "Pass the file that it is the index of"),
    rb"\x89HDF\r\n": FileFormat("an HDF5 file (h5ad, cool, loom)", "Export what is needed of it as a table"),
    rb"HIC\x00": FileFormat("a .hic file of contacts", "Call loops on it: java -jar juicer_tools.jar hiccups {} loops"),
    rb"PK\x03\x04|\xd0\xcf\x11\xe0": FileFormat(
        "a zip archive or an Excel workbook", "Unzip it, or save the sheet as tab-separated text"
    ),
    rb"\x1f\x8b": FileFormat("a gzip file within a gzip file", "Run: gunzip, once, on {}"),
    rb"BZh[1-9]1AY": FileFormat("a bzip2 file", "Run: bunzip2 {}"),
    rb"\xfd7zXZ\x00": FileFormat("an xz file", "Run: unxz {}"),
    rb"\x28\xb5\x2f\xfd": FileFormat("a zstd file", "Run: unzstd {}"),
    rb".{257}ustar": FileFormat("a tar archive", "Run: tar -xf {}, and pass one of its files"),
    rb"\x43\x27\x41\x1a|\x1a\x41\x27\x43": FileFormat("a genome sequence (2bit)", "Pass intervals or signal along it"),
    rb"PAR1[\x15-\x1f]": FileFormat("a Parquet file", "Read it with pandas.read_parquet('{}') and pass the table"),
    rb"NCBI\.sra": FileFormat("an SRA archive of raw reads", "Map its reads to the genome first"),
    rb"%PDF-": FileFormat("a PDF", "Pass the table behind it"),
    rb"\xff\xfe|\xfe\xff": FileFormat(
        "UTF-16 text, as Excel's 'Unicode text'", "Run: iconv -f UTF-16 -t UTF-8 {} > utf8.txt"
    ),
    rb"(?i)\s*<(!doctype|html|\?xml)": FileFormat(
        "a web page", "The download has failed; open the address in a browser"
    ),
    rb"version https://git-lfs": FileFormat("a pointer to a file in Git LFS", "Run: git lfs pull, where it came from"),
}
"""Pattern at the start of the (unpacked) file -> its format."""


def detect_format(head: bytes) -> FileFormat | None:
    """Return the format that the first ``HEAD_BYTES`` bytes of a file identify; None for other text."""
    return next((found for start, found in _FORMATS.items() if re.match(start, head, re.DOTALL)), None)


def refuse_binary(head: bytes, path: Path) -> None:
    """Raise ``ValueError`` where the first bytes of a file identify another format than text."""
    found = detect_format(head)
    if found is not None:
        msg = f"{path}: this is {found.name} by its content; expected a text file. {found.fix.format(path)}."
        raise ValueError(msg)

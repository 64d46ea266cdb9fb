"""Seconds and peak memory from bigWig and BAM files to genes by bins, beside the programs that users know.

`bin_bigwig` against a loop over `pyBigWig.stats(exact=True)` and against deepTools' `computeMatrix`, on the public
pilot tracks and on a dense genome-wide track that is made up (one file, read once for each of five marks); `bin_reads`
against `bedtools multicov` on made-up reads. All on one thread. Ratios are of processor time, which other programs on
the machine change less than the clock; functions are timed without importing Python packages, programs as they are.
deepTools is installed in `build/bench-venv`; what cannot be had is left out with a word. All tools are given the same
random sample of the genes (`--sample`, 0 for all: hours), then this package alone all of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyBigWig
import pysam
from _cost import Cost, median, of_function

import simplechrome_tk as sct
from simplechrome_tk.io._public import cache_folder, fetch

BUILD = Path(__file__).resolve().parents[1] / "build"
MARKS = ("H3K4me3", "H3K4me1", "H3K36me3", "H3K27me3", "H3K9me3")
N_READS = 4_000_000
READ_LENGTH = 36


WATCH = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6)
"""


def of_programs(*commands: list[str]) -> Cost:
    """Run programs one after another, each watched by a small process, since memory is counted from the parent's on."""
    costs = []
    for command in commands:
        clock = time.perf_counter()
        watched = subprocess.check_output([sys.executable, "-c", WATCH, *command], text=True)
        costs.append((time.perf_counter() - clock, *map(float, watched.split())))
    clock, processor, memory = zip(*costs, strict=True)
    return Cost(sum(clock), sum(processor), max(memory))


def ours(tracks: dict[str, str], genes: pd.DataFrame) -> None:
    sct.pp.bin_bigwig(tracks, genes)


def pybigwig_loop(tracks: dict[str, str], genes: pd.DataFrame) -> None:
    for path in tracks.values():
        with pyBigWig.open(path) as file:
            for gene in genes.itertuples():
                size = file.chroms(gene.chrom)
                window = max(int(gene.tss) - 5_000, 0), min(int(gene.tss) + 5_000, size)
                file.stats(gene.chrom, *window, nBins=100, exact=True)
                file.stats(gene.chrom, int(gene.start), int(gene.end), nBins=20, exact=True)


def count_reads(bam: str, genes: pd.DataFrame, windows: list[sct.pp.Window]) -> None:
    sct.pp.bin_reads({"reads": bam}, genes, windows=windows)


def deeptools() -> Path | None:
    """Install deepTools in an environment of its own; None, and a word, where that fails."""
    folder = BUILD / "bench-venv"
    program = folder / "bin" / "computeMatrix"
    if not program.exists():
        try:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
            install = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "deeptools"]
            subprocess.run(install, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"deepTools is left out: it cannot be installed in {folder} ({error}).")
            return None
    return program


def compute_matrix(program: Path, tracks: dict[str, str], genes: pd.DataFrame) -> Cost:
    bed = BUILD / "bench" / "genes.bed"
    table = genes.assign(id=genes.index, score=0)[["chrom", "start", "end", "id", "score", "strand"]]
    table.to_csv(bed, sep="\t", header=False, index=False)
    shared = ["-S", *tracks.values(), "-R", str(bed), "-bs", "100", "--missingDataAsZero", "-p", "1"]
    shared += ["-o", str(BUILD / "bench" / "matrix.gz")]  # not os.devnull, which deepTools would delete as root
    tss = [str(program), "reference-point", *shared, "--referencePoint", "TSS", "-b", "5000", "-a", "5000"]
    return of_programs(tss, [str(program), "scale-regions", *shared, "-m", "2000"])


def all_genes(sizes: dict[str, int]) -> pd.DataFrame:
    """Every gene of DeepChrome; one without annotation is given 20 kb."""
    genes = sct.datasets.roadmap("E116", marks=["H3K4me3"], windows=[sct.pp.Window.TSS]).obs
    unknown = genes["strand"] == "."
    limit = genes["chrom"].astype(str).map(sizes)
    genes["start"] = genes["start"].where(~unknown, genes["tss"]).astype(int)
    genes["end"] = genes["end"].where(~unknown, np.minimum(genes["tss"] + 20_000, limit)).astype(int)
    genes["strand"] = genes["strand"].astype(str).where(~unknown, "+")
    return genes[["chrom", "start", "end", "strand", "tss"]]


def dense_track(sizes: dict[str, int]) -> str:
    """Make up signal on the whole genome, in steps of 25 bp and more, 62 bp on average."""
    path = BUILD / "bench" / "dense.bw"
    if not path.exists():
        print("Making up a dense track (two minutes) ...", flush=True)
        rng = np.random.default_rng(0)
        part = path.with_suffix(".part")
        with pyBigWig.open(str(part), "w") as file:
            file.addHeader(sorted(sizes.items()))
            for chrom, size in sorted(sizes.items()):
                end = np.cumsum(25 * rng.geometric(0.4, size // 60))
                end = end[end < size]
                signal = np.round(rng.gamma(0.5, 2.0, len(end)), 2)
                file.addEntries([chrom] * len(end), np.append(0, end[:-1]), ends=end, values=signal)
        part.rename(path)
    return str(path)


def made_up_reads(genes: pd.DataFrame, sizes: dict[str, int]) -> str:
    """Half of the reads near a TSS, the others anywhere."""
    path = BUILD / "bench" / "reads.bam"
    if not path.exists():
        print("Making up reads ...", flush=True)
        rng = np.random.default_rng(0)
        names = sorted(sizes)
        lengths = np.array([sizes[name] for name in names])
        near = genes.iloc[rng.integers(0, len(genes), N_READS // 2)]
        chrom = np.append(
            near["chrom"].astype(str).map(names.index).to_numpy(),
            rng.choice(len(names), N_READS - len(near), p=lengths / lengths.sum()),
        )
        anywhere = rng.random(N_READS - len(near)) * lengths[chrom[len(near) :]]
        start = np.append(near["tss"].to_numpy() + rng.normal(0, 1_500, len(near)), anywhere).astype(int)
        start = np.clip(start, 0, lengths[chrom] - READ_LENGTH)
        header = pysam.AlignmentHeader.from_references(names, lengths.tolist())
        with pysam.AlignmentFile(str(path), "wb", header=header) as bam:
            for i in np.lexsort([start, chrom]).tolist():
                read = pysam.AlignedSegment(header)
                read.query_name, read.reference_id, read.reference_start = f"r{i}", int(chrom[i]), int(start[i])
                read.flag, read.mapping_quality, read.cigarstring = 16 * (i % 2), 30, f"{READ_LENGTH}M"
                read.query_sequence = "ACGT" * (READ_LENGTH // 4)
                bam.write(read)
        pysam.index(str(path))
    return str(path)


def multicov(bam: str, genes: pd.DataFrame, windows: list[sct.pp.Window]) -> Cost:
    """Count the reads in the same bins, one region each."""
    bed = BUILD / "bench" / "bins.bed"
    tables = []
    for window in windows:
        edges = np.sort(window.edges(genes), axis=1).round().astype(int).clip(0)
        rows = {"chrom": np.repeat(genes["chrom"].astype(str), window.n_bins)}
        tables.append(pd.DataFrame({**rows, "start": edges[:, :-1].ravel(), "end": edges[:, 1:].ravel()}))
    table = pd.concat(tables)
    table[table["start"] < table["end"]].to_csv(bed, sep="\t", header=False, index=False)
    return of_programs(["bedtools", "multicov", "-bams", bam, "-bed", str(bed)])


def show(name: str, cost: Cost, reference: Cost | None = None, target: float | None = None) -> None:
    ratio = "" if reference is None else f"  {cost.processor / reference.processor:6.1f} times bin_"
    print(f"  {name:<28} {cost}{ratio}" + (f" (at least {target:g})" if target else ""), flush=True)


def compare(title: str, tracks: dict[str, str], genes: pd.DataFrame, program: Path | None, runs: int) -> None:
    print(f"{title}: {len(genes)} genes x 120 bins x {len(tracks)} marks")
    reference = median(runs, lambda: of_function(ours, tracks, genes))
    show("bin_bigwig", reference)
    show("pyBigWig.stats, exact", of_function(pybigwig_loop, tracks, genes), reference, 3)
    if program:
        show("deepTools computeMatrix", compute_matrix(program, tracks, genes), reference, 3)


def bigwigs(genes: pd.DataFrame, sizes: dict[str, int], sample: int, runs: int) -> None:
    program = deeptools()
    folder = cache_folder() / "bigwig"
    if folder.exists():
        tracks = {mark: str(folder / f"E116-{mark}.pilot.hg19.bw") for mark in MARKS}
        regions = pd.read_csv(folder / "pilot_regions_hg19.csv")
        inside = [
            ((regions["chrom"] == gene.chrom) & (regions["start"] <= gene.tss) & (gene.tss < regions["end"])).any()
            for gene in genes.itertuples()
        ]
        compare("Public tracks of the pilot regions (E116)", tracks, genes[inside], program, runs)
    else:
        print(f"The public tracks are left out: {folder} is not there.")
    tracks = dict.fromkeys(MARKS, dense_track(sizes))
    compare("Dense track", tracks, genes.sample(sample or len(genes), random_state=0), program, runs)
    whole = median(runs, lambda: of_function(ours, tracks, genes))
    print(f"Dense track, all of DeepChrome's genes: {len(genes)} genes x 120 bins x {len(tracks)} marks")
    show("bin_bigwig", whole)
    print(f"  peak memory {whole.memory:.2f} GB (under 1 GB)")
    print("  milliseconds of processor for a gene and mark, by the number of genes:", end="", flush=True)
    one = {"mark": tracks[MARKS[0]]}
    for n in (2_500, 5_000, 10_000, len(genes)):
        cost = median(runs, lambda n=n: of_function(ours, one, genes.sample(n, random_state=1)))
        print(f"  {n}: {1e3 * cost.processor / n:.2f}", end="", flush=True)
    print()


def bams(genes: pd.DataFrame, sizes: dict[str, int], runs: int) -> None:
    if not shutil.which("bedtools"):
        print("bedtools is left out: it is not installed (apt-get install bedtools).")
    bam = made_up_reads(genes, sizes)
    promoter = sct.pp.Window("promoter", anchor="tss", upstream=2_000, downstream=2_000, n_bins=1)
    some = genes.sample(200, random_state=0)
    for table, windows in ((some, [sct.pp.Window.TSS, sct.pp.Window.BODY]), (genes, [promoter])):
        n_bins = sum(window.n_bins for window in windows)
        print(f"{N_READS:,} reads: {len(table)} genes x {n_bins} bins")
        reference = median(runs, lambda t=table, w=windows: of_function(count_reads, bam, t, w))
        show("bin_reads", reference)
        if shutil.which("bedtools"):
            show("bedtools multicov", multicov(bam, table, windows), reference, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=500, help="genes of the dense track that all tools are given")
    parser.add_argument("--runs", type=int, default=3, help="runs of this package's functions; the median counts")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    (BUILD / "bench").mkdir(parents=True, exist_ok=True)
    sizes = pd.read_csv(fetch("abc/chrom_sizes.tsv"), sep="\t", header=None, index_col=0)[1].to_dict()
    genes = all_genes(sizes)
    bigwigs(genes, sizes, arguments.sample, arguments.runs)
    bams(genes, sizes, arguments.runs)


if __name__ == "__main__":
    main()

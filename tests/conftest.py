"""Fixtures that tests share."""

from __future__ import annotations

import itertools
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import anndata as ad
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import CodeType, FrameType

    from simplechrome_tk.pp import Window

matplotlib.use("Agg")

T = TypeVar("T")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks this small gain nothing from threads, and lose much where cores are shared; numba may have set two."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _whole_floats():
    """On CUDA, convolutions read 10 bits of each number (TF32) unless told otherwise, and results move by 1e-5."""
    torch.backends.cudnn.allow_tf32 = False


@pytest.fixture(autouse=True)
def _figures_closed():
    """Draw each figure, since some errors only show then, and leave none to the next test."""
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")


def _or_skip(load: Callable[[], T]) -> T:
    """Skip, with the reason, where public files are out of reach; fail where SIMPLECHROME_TK_REQUIRE_DATA is set."""
    try:
        return load()
    except sct.datasets.DatasetUnavailableError as error:
        if os.environ.get("SIMPLECHROME_TK_REQUIRE_DATA", "0") != "0":
            raise
        pytest.skip(f"needs real data: {error}")


@pytest.fixture(scope="session")
def e116() -> ad.AnnData:
    """Real GM12878, 5 core marks, default windows. Shared: tests copy it before they change it."""
    return _or_skip(lambda: sct.datasets.roadmap("E116"))


@pytest.fixture(scope="session")
def real_roadmap(e116: ad.AnnData) -> Callable[..., ad.AnnData]:
    """`roadmap`, for tests of real data; asking for `e116` first spares a second wait where there is no network."""
    return lambda *args, **kwargs: _or_skip(lambda: sct.datasets.roadmap(*args, **kwargs))


@pytest.fixture(scope="session")
def public_file(e116: ad.AnnData) -> Callable[[str], Path]:
    """Path of a real public file, by its path in the registry."""
    from simplechrome_tk.io._public import fetch

    return lambda path: _or_skip(lambda: fetch(path))


def _random_genes(rng: np.random.Generator, n: int = 60) -> pd.DataFrame:
    start = rng.integers(6_000, 280_000, n)
    end = start + rng.integers(50, 60_000, n)
    strand = rng.choice(["+", "-"], n)
    return pd.DataFrame(
        {
            "chrom": rng.choice(["chr1", "chr2"], n),
            "start": start,
            "end": end,
            "strand": strand,
            "tss": np.where(strand == "-", end, start),
        },
        index=[f"g{i}" for i in range(n)],
    )


@pytest.fixture(scope="session")
def random_genes() -> Callable[..., pd.DataFrame]:
    """Genes of both strands on the first 340 kb of chr1 and chr2."""
    return _random_genes


@pytest.fixture
def genes() -> pd.DataFrame:
    """60 of these, always the same."""
    return _random_genes(np.random.default_rng(1))


def _bins(gene: pd.Series, window: Window) -> list[tuple[float, float]]:
    """Bins of a gene from 5' to 3', each (left, right) in the genome."""
    minus = gene["strand"] == "-"
    if window.anchor == "body":
        upstream, length = 0, gene["end"] - gene["start"]
        anchor = gene["end"] if minus else gene["start"]
    else:
        upstream, length = window.upstream, window.upstream + window.downstream
        anchor = gene["tss"] if window.anchor == "tss" else gene["start" if minus else "end"]
    width = length / window.n_bins
    if minus:
        return [(anchor + upstream - (i + 1) * width, anchor + upstream - i * width) for i in range(window.n_bins)]
    return [(anchor - upstream + i * width, anchor - upstream + (i + 1) * width) for i in range(window.n_bins)]


@pytest.fixture(scope="session")
def mean_signal() -> Callable[..., np.ndarray]:
    """Independent oracle of `bin_peaks`: bin by bin, the overlap with each peak times its signal, over the width."""

    def oracle(peaks: dict[str, pd.DataFrame], genes: pd.DataFrame, windows: list[Window]) -> np.ndarray:
        chromosomes = {
            (mark, chrom): group[["start", "end", "signal"]].to_numpy(float).T
            for mark, table in peaks.items()
            for chrom, group in table.groupby("chrom")
        }
        rows = []
        for _, gene in genes.iterrows():
            row = []
            for window in windows:
                bins = _bins(gene, window)
                reach = min(left for left, _ in bins), max(right for _, right in bins)
                for mark in peaks:
                    start, end, signal = chromosomes.get((mark, gene["chrom"]), np.empty((3, 0)))
                    near = (start < reach[1]) & (end > reach[0])
                    start, end, signal = start[near], end[near], signal[near]
                    for left, right in bins:
                        overlap = np.clip(np.minimum(end, right) - np.maximum(start, left), 0, None)
                        row.append(float((overlap * signal).sum()) / (right - left))
            rows.append(row)
        return np.array(rows)

    return oracle


@pytest.fixture(scope="session")
def _attributed() -> ad.AnnData:
    adata = sct.datasets.simulate(200)
    sct.pp.tss_neighbors(adata, n_neighbors=4)
    rng = np.random.default_rng(0)
    without = np.arange(adata.n_obs) % 5 == 4
    effects = rng.normal(0.01, 0.1, adata.shape).astype(np.float32)
    effects[without] = np.nan
    pairs = adata.obsp["tss_connectivities"].tocoo()
    kept = ~without[pairs.row]
    links = (pairs.row[kept], pairs.col[kept])
    neighbors = sparse.csr_matrix((rng.normal(0, 1, kept.sum()).astype(np.float32), links), shape=pairs.shape)
    total = effects.sum(axis=1) + np.asarray(neighbors.sum(axis=1)).ravel()
    marks = list(adata.var["mark"].cat.categories)
    interactions = pd.DataFrame(
        {f"{a} x {b}": rng.normal(0, 0.5, adata.n_obs) for a, b in itertools.combinations(marks, 2)},
        index=adata.obs_names,
    )
    interactions[without] = np.nan
    adata.layers["attribution"] = effects
    adata.obsp["attribution_neighbors"] = neighbors
    adata.obs["attribution_total"] = np.where(without, np.nan, total)
    adata.obs["attribution_error"] = np.where(without, np.nan, 0.0)
    adata.obsm["attribution_interactions"] = interactions
    adata.uns["attribution"] = {
        "method": "integrated_gradients",
        "target": "logit",
        "unit": "log-odds of high",
        "baseline": "zero",
        "n_steps": 50,
        "neighbors_key": "tss",
    }
    return adata


@pytest.fixture
def attributed(_attributed: ad.AnnData) -> ad.AnnData:
    """200 simulated genes with attributions made up at random; every fifth has none."""
    return _attributed.copy()


@pytest.fixture(params=["h5ad", "zarr"])
def round_trip(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[ad.AnnData], ad.AnnData]:
    """Write data to a file and read them back, in each of the two formats."""

    def write_and_read(adata: ad.AnnData) -> ad.AnnData:
        path = tmp_path / f"data.{request.param}"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*zarr", category=UserWarning)  # which version it will be
            getattr(adata, f"write_{request.param}")(path)
            return getattr(ad, f"read_{request.param}")(path)

    return write_and_read


def _writes(code: CodeType) -> bool:
    """Whether code is of the module that writes results to an AnnData."""
    return code.co_filename.endswith("simplechrome_tk/core/write.py")


def _interrupted(call: Callable[[], object], *lines: int, watched: Callable[[CodeType], bool] = _writes) -> bool:
    """Run a call, interrupted at these lines, counted from 0, of the code that is watched; return whether it was."""
    count = -1

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if not watched(frame.f_code):
            return None
        if event == "line":
            count += 1
            if count in lines:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.fixture(scope="session")
def interrupted() -> Callable[..., bool]:
    """Run a call with an interrupt at chosen lines of the code that is watched: the writing of its results."""
    return _interrupted


def _state(adata: ad.AnnData) -> dict[tuple[str, str], object]:
    """Everything that an AnnData holds, in a form that can be compared."""
    held: dict[tuple[str, str], object] = {("X", ""): adata.X.tobytes()}
    held |= {("obs", key): adata.obs[key].astype(str).tolist() for key in adata.obs}
    for name in ("layers", "obsm", "obsp"):
        for key, value in getattr(adata, name).items():
            dense = value.toarray() if sparse.issparse(value) else np.asarray(value)
            held[name, key] = dense.tobytes()
    return held | {("uns", key): repr(value) for key, value in adata.uns.items()}


@pytest.fixture(scope="session")
def state() -> Callable[[ad.AnnData], dict[tuple[str, str], object]]:
    """Everything that an AnnData holds, to be compared."""
    return _state

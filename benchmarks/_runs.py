"""Data, tables of results, and predictions and models that are kept, so that a benchmark can be continued."""

from __future__ import annotations

import functools
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import anndata as ad

RESULTS = Path(__file__).parent / "results"
KEPT = Path(__file__).parents[1] / "build" / "benchmark"

CELL_TYPES = ("E116", "E117", "E123")
"""Cell types of :func:`simplechrome_tk.datasets.roadmap`: GM12878, HeLa-S3 and K562."""

_CONTEXT = sct.pp.Window("context", anchor="tss", upstream=50_000, downstream=50_000, n_bins=50)
WINDOWS = {
    "TSS": [sct.pp.Window.TSS],
    "TSS + body": [sct.pp.Window.TSS, sct.pp.Window.BODY],
    "TSS + body + end + 50 kb": [sct.pp.Window.TSS, sct.pp.Window.BODY, sct.pp.Window.TES, _CONTEXT],
    "TSS + body + 50 kb in fine bins": [sct.pp.Window.TSS, sct.pp.Window.BODY, replace(_CONTEXT, n_bins=200)],
}


class Table:
    """A table in ``benchmarks/results``: what was measured, on this machine or another.

    Its rows are not measured again; delete rows to have them made again.

    Parameters
    ----------
    name
        Name of the file.
    *keys
        Columns that name a measurement, the setting first and the model last.
    """

    def __init__(self, name: str, *keys: str) -> None:
        self.keys = list(keys)
        self._path = RESULTS / f"{name}.csv"
        self._rows = _read_text(self._path) if self._path.exists() else pd.DataFrame(columns=self.keys)

    def has(self, **values: object) -> bool:
        """Whether there are rows with these values."""
        return bool((self._rows[list(values)] == [str(value) for value in values.values()]).all(axis=1).any())

    def add(self, rows: pd.DataFrame) -> None:
        """Write rows, in place of those with the same keys and next to those of the same setting."""
        new = _read_text(io.StringIO(rows.to_csv(index=False, float_format="%.4f")))
        old, made = (pd.MultiIndex.from_frame(table[self.keys]) for table in (self._rows, new))
        every = pd.concat([self._rows[~old.isin(made)], new])
        setting = every.groupby(self.keys[:-1], sort=False).ngroup().to_numpy()
        self._rows = every.iloc[setting.argsort(kind="stable")]
        RESULTS.mkdir(exist_ok=True)
        self._rows.to_csv(self._path, index=False)


def _read_text(source: Path | io.StringIO) -> pd.DataFrame:
    """Read a CSV as text, so that writing it again changes nothing."""
    return pd.read_csv(source, dtype=str, keep_default_na=False)


def simplechrome(adata: ad.AnnData, **kwargs: object) -> pd.DataFrame:
    model = sct.SimpleChrome(adata, **kwargs)
    model.train(progress=False)
    return model.predict()


@functools.lru_cache(maxsize=1)
def load(cells: tuple[str, ...], inputs: str, *, method: str = "log1p", nine_marks: bool = False) -> ad.AnnData:
    """Annotated genes of one or several cell types, split by chromosome (test 1, 8, 21; validation 2, 9)."""
    marks = "all" if nine_marks else "core"
    adata = sct.datasets.roadmap(list(cells), windows=WINDOWS[inputs], marks=marks)
    adata = adata[adata.obs["annotated"]].copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method=method)
    return adata


@functools.cache
def trained_on(cells: tuple[str, ...], inputs: str, n_models: int) -> sct.SimpleChrome:
    """Train on several cell types, with quantiles exchanged, unless an earlier run has kept the model."""
    return kept_model(
        (inputs, " ".join(cells), str(n_models)), lambda: load(cells, inputs, method="quantile"), n_models=n_models
    )


def kept_model(name: Sequence[str], data: Callable[[], ad.AnnData], *, n_models: int) -> sct.SimpleChrome:
    """Return the model of that name, trained now on ``data`` unless an earlier run has kept it."""
    path = _path(("models", *name), "")
    if not path.exists():
        model = sct.SimpleChrome(data(), n_models=n_models)
        model.train(progress=False)
        model.save(path)
    return sct.SimpleChrome.load(path)


def kept(name: Sequence[str], predict: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return the prediction of that name, made now unless an earlier run has kept it; ``attrs`` tell the seconds.

    Predictions and models lie in ``build/benchmark``; remove that folder after a change of the models.
    """
    path = _path(name, ".csv.gz")
    if not path.exists():
        start = time.perf_counter()
        table = predict()
        table = table.assign(seconds=time.perf_counter() - start)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        table.to_csv(unfinished, compression="gzip", float_format="%.6g")
        unfinished.rename(path)
    table = pd.read_csv(path, index_col=0)
    seconds = float(table.pop("seconds").iloc[0])
    table.attrs["seconds"] = seconds
    print(" / ".join(name), f"{seconds:.0f} s", flush=True)
    return table


def _path(name: Sequence[str], suffix: str) -> Path:
    folder = KEPT.joinpath(*(part.replace(" ", "_").replace("/", "-") for part in name))
    return folder.with_name(folder.name + suffix)

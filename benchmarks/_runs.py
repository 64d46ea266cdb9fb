"""What benchmarks share: data, and predictions that are kept so that a run can go on where it stopped."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import anndata as ad

RESULTS = Path(__file__).parent / "results"
KEPT = Path(__file__).parents[1] / "build" / "benchmark"

WINDOWS = {
    "TSS": [sct.pp.TSS_WINDOW],
    "TSS + body": [sct.pp.TSS_WINDOW, sct.pp.BODY_WINDOW],
    "TSS + body + end + 50 kb": [sct.pp.TSS_WINDOW, sct.pp.BODY_WINDOW, sct.pp.TES_WINDOW, sct.pp.CONTEXT_WINDOW],
}


def simplechrome(adata: ad.AnnData, **kwargs: object) -> pd.DataFrame:
    model = sct.SimpleChrome(adata, **kwargs)
    model.train(progress=False)
    return model.predict()


@functools.lru_cache(maxsize=1)
def load(cells: tuple[str, ...], inputs: str, *, method: str = "log1p", nine_marks: bool = False) -> ad.AnnData:
    """Annotated genes of one or several cell types, split by chromosome (test 1, 8, 21; validation 2, 9)."""
    marks = sct.datasets.ALL_MARKS if nine_marks else sct.datasets.CORE_MARKS
    adata = sct.datasets.roadmap(list(cells), windows=WINDOWS[inputs], marks=marks)
    adata = adata[adata.obs["annotated"]].copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method=method)
    return adata


def is_kept(name: Sequence[str]) -> bool:
    """Whether an earlier run has kept the prediction of that name."""
    return _path(name).exists()


def kept(name: Sequence[str], predict: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """Return the prediction of that name, made now unless an earlier run has kept it; ``attrs`` tell the seconds.

    Predictions lie in ``build/benchmark``; remove that folder after a change of the models.
    """
    path = _path(name)
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


def _path(name: Sequence[str]) -> Path:
    folder = KEPT.joinpath(*(part.replace(" ", "_").replace("/", "-") for part in name))
    return folder.with_name(f"{folder.name}.csv.gz")

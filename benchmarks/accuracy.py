"""How well held-out chromosomes are predicted: SimpleChrome beside plain models on the same inputs.

Prints one table per cell type and set of regions, genes with known strand and body only, test chromosomes 1, 8 and 21,
and the seconds each model takes to train.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad
    import pandas as pd

WINDOWS = {"TSS": [sct.pp.TSS_WINDOW], "TSS + body": list(sct.pp.DEFAULT_WINDOWS)}


def simplechrome(adata: ad.AnnData, **kwargs: object) -> pd.DataFrame:
    model = sct.SimpleChrome(adata, **kwargs)
    model.train(progress=False)
    return model.predict()


MODELS: dict[str, Callable[[ad.AnnData], pd.DataFrame]] = {
    "logistic regression": lambda adata: sct.tl.fit_baseline(adata, sct.tl.logistic_regression()),
    "gradient boosting": lambda adata: sct.tl.fit_baseline(adata, sct.tl.gradient_boosting()),
    "SimpleChrome": simplechrome,
    "SimpleChrome + neighbours": lambda adata: simplechrome(adata, neighbors_key="tss"),
}


def load(cell: str, windows: list[sct.pp.Window], *, method: str = "log1p") -> ad.AnnData:
    adata = sct.datasets.roadmap(cell, windows=windows)
    adata = adata[adata.obs["annotated"]].copy()
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method=method)
    sct.pp.tss_neighbors(adata, 10)
    return adata


def report(cell: str, regions: str, model: str, adata: ad.AnnData, fit: Callable[[ad.AnnData], pd.DataFrame]) -> None:
    start = time.perf_counter()
    prediction = fit(adata)
    seconds = time.perf_counter() - start
    for row in sct.tl.evaluate(adata, prediction, splits=["test"]).itertuples():
        if row.metric in ("AUROC", "Pearson"):
            interval = f"{row.value:.4f} ({row.low:.3f}-{row.high:.3f})"
            print(f"{cell}  {regions:<10}  {model:<25}  {row.metric:<7}  {interval}  {seconds:4.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", default=list(sct.datasets.CELL_TYPES), help="Roadmap epigenomes")
    cells = parser.parse_args().cells
    for cell in cells:
        for regions, windows in WINDOWS.items():
            adata = load(cell, windows)
            for model, fit in MODELS.items():
                report(cell, regions, model, adata, fit)
        paper = load(cell, WINDOWS["TSS"], method="paper")
        report(cell, "TSS", "SimpleChrome as published", paper, lambda adata: simplechrome(adata, preset="paper"))


if __name__ == "__main__":
    main()

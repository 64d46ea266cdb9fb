"""Train the model that comes with the package and write it to ``simplechrome_tk/model/pretrained/roadmap-peaks``.

The model is trained on all three public cell types together, without the test chromosomes 1, 8 and 21, and its accuracy
on these is printed. ``benchmarks/transfer.py`` measures the accuracy in a cell type that was left out.
"""

from __future__ import annotations

import time
from pathlib import Path

from _runs import CELL_TYPES

import simplechrome_tk as sct

FOLDER = Path(sct.__file__).parent / "model" / "pretrained" / "roadmap-peaks"


def main() -> None:
    adata = sct.datasets.roadmap(list(CELL_TYPES))
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method="quantile")
    start = time.perf_counter()
    model = sct.SimpleChrome(adata)
    model.train(progress=False)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    # CARD.md stays as it is.
    model.save(FOLDER, overwrite=True)
    prediction = model.predict()
    for cell in CELL_TYPES:
        print(cell)
        print(sct.evaluation.evaluate(adata[adata.obs["cell_type"] == cell], prediction, splits=["test"]).to_string())
    print(f"{sum(file.stat().st_size for file in FOLDER.iterdir()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

"""Train the models that come with the package and write them to ``simplechrome_tk/model/pretrained``.

``roadmap-peaks`` is trained on all three public cell types together, without the test chromosomes 1, 8 and 21.
``roadmap-peaks-context`` adds co-expressed genes and reference samples to it; ``--context`` makes it alone. Accuracy on
the test chromosomes is printed. ``benchmarks/transfer.py`` and ``related_genes.py`` measure cell types left out.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _runs import CELL_TYPES

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad

FOLDER = Path(sct.__file__).parent / "model" / "pretrained"


def keep(model: sct.SimpleChrome, adata: ad.AnnData, name: str) -> None:
    """Save a model, and print its scores in each cell type."""
    # CARD.md stays as it is.
    model.save(FOLDER / name, overwrite=True)
    prediction = model.predict(adata)
    for cell in CELL_TYPES:
        print(name, cell)
        print(sct.evaluation.evaluate(adata[adata.obs["cell_type"] == cell], prediction, splits=["test"]).to_string())
    print(f"{sum(file.stat().st_size for file in (FOLDER / name).iterdir()) / 1e6:.2f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--context", action="store_true", help="add the context to the model that was saved before")
    adata = sct.datasets.roadmap(list(CELL_TYPES))
    sct.pp.split_by_chromosome(adata)
    start = time.perf_counter()
    if parser.parse_args().context:
        model = sct.load_pretrained("roadmap-peaks")
        sct.pp.normalize(adata, reference=model.normalization)
    else:
        sct.pp.normalize(adata, method="quantile")
        model = sct.SimpleChrome(adata)
        model.train(progress=False)
        keep(model, adata, "roadmap-peaks")
    # The cell types themselves are left out of the reference.
    sct.pp.add_reference_expression(adata)
    sct.pp.coexpression_neighbors(adata)
    model = model.add_context(adata, neighbors_key="coexpression", reference_key="reference_expression", progress=False)
    print(f"trained in {time.perf_counter() - start:.0f} s")
    keep(model, adata, "roadmap-peaks-context")


if __name__ == "__main__":
    main()

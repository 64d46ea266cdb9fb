"""What neighbouring genes are worth: none, by id (as published), the ten nearest on the chromosome, by Hi-C loops.

One SimpleChrome for each graph, with and without the gene's body, on test chromosomes 1, 8 and 21, and paired
differences from the model without neighbours: over all genes, over those that have a Hi-C neighbour, and the number of
genes that neighbours call otherwise, rightly and wrongly. By default E116 with the nearest genes. ``--all`` runs
everything, goes on where it was stopped, and writes ``benchmarks/results/neighbors.csv``.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pandas as pd
from _runs import RESULTS, is_kept, kept, load, simplechrome

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad

GRAPHS = {"none": None, "by id": "id", "nearest": "tss", "Hi-C": "hic"}


def connect(adata: ad.AnnData, cell: str) -> None:
    sct.pp.id_neighbors(adata)
    sct.pp.tss_neighbors(adata)
    sct.pp.contact_neighbors(adata, {cell: sct.datasets.hic_loops(cell)})


def calls(adata: ad.AnnData, without: pd.DataFrame, neighbors: pd.DataFrame) -> dict[str, int]:
    """Count the test genes whose call neighbours change."""
    test = adata.obs["split"] == "test"
    high = adata.obs.loc[test, "label"] == "high"
    before = without.loc[high.index, "probability"] > 0.5
    after = neighbors.loc[high.index, "probability"] > 0.5
    return {
        "called rightly with them alone": int(((before != after) & (after == high)).sum()),
        "called rightly without them alone": int(((before != after) & (before == high)).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every cell type, input and graph; hours")
    parser.add_argument("--kept", action="store_true", help="tables of what earlier runs have kept; run nothing")
    options = parser.parse_args()
    everything = options.all
    graphs = GRAPHS if everything else {"none": None, "nearest": "tss"}
    rows = []
    for cell in sct.datasets.CELL_TYPES if everything else ["E116"]:
        for inputs in ("TSS + body", "TSS") if everything and cell != "E117" else ("TSS + body",):
            adata = load((cell,), inputs)
            connect(adata, cell)
            linked = adata[adata.obsp["hic_connectivities"].getnnz(axis=1) > 0]
            predictions = {}
            for name, key in graphs.items():
                run = ("neighbors", cell, inputs, name)
                if options.kept and not is_kept(run):
                    continue
                predictions[name] = kept(
                    run,
                    lambda adata=adata, key=key: simplechrome(adata, neighbors_key=key),
                )
            if "none" not in predictions or len(predictions) == 1:
                continue
            for genes, part in (("all", adata), ("with a Hi-C neighbour", linked)):
                table = sct.tl.compare(part, predictions, reference="none", unit="block")
                rows.append(table.assign(cell=cell, inputs=inputs, genes=genes))
            for name in list(predictions)[1:]:
                print(cell, inputs, name, calls(adata, predictions["none"], predictions[name]), flush=True)
    result = pd.concat(rows)
    shown = result[result["metric"].isin(["AUROC", "Pearson"])]
    print(shown[["cell", "inputs", "genes", "model", "metric", "value", "difference", "low", "high"]].to_string())
    if everything:
        RESULTS.mkdir(exist_ok=True)
        result.to_csv(RESULTS / "neighbors.csv", index=False, float_format="%.4f")


if __name__ == "__main__":
    main()

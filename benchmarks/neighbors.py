"""What neighbouring genes are worth: none, by id (as published), the ten nearest on the chromosome, by Hi-C loops.

One SimpleChrome for each graph, with and without the gene's body, on test chromosomes 1, 8 and 21, and paired
differences from the model without neighbours: over all genes, over those that have a Hi-C neighbour, and the number of
genes that neighbours call otherwise, rightly (``calls corrected``) and wrongly (``calls broken``). By default E116 with
the nearest genes. ``--all`` runs what ``benchmarks/results/neighbors.csv`` does not hold yet (hours), and adds it.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from _runs import Table, kept, load, simplechrome

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad

NONE = "none"
GRAPHS = {"by id": "id", "nearest": "tss", "Hi-C": "hic"}
SETTINGS = [("E116", "TSS + body"), ("E116", "TSS"), ("E123", "TSS + body"), ("E117", "TSS + body"), ("E123", "TSS")]


def connect(adata: ad.AnnData, cell: str) -> None:
    sct.pp.id_neighbors(adata)
    sct.pp.tss_neighbors(adata)
    sct.pp.contact_neighbors(adata, {cell: sct.datasets.hic_loops(cell)})


def calls(adata: ad.AnnData, without: pd.DataFrame, neighbors: pd.DataFrame) -> pd.DataFrame:
    """Count the test genes whose call neighbours change."""
    high = adata.obs.loc[adata.obs["split"] == "test", "label"] == "high"
    before, after = (made.loc[high.index, "probability"] > 0.5 for made in (without, neighbors))
    counts = {
        "calls corrected": ((before != after) & (after == high)).sum(),
        "calls broken": ((before != after) & (before == high)).sum(),
    }
    return pd.DataFrame({"metric": list(counts), "value": list(counts.values())}).assign(split="test", n=len(high))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="what the table does not hold yet; hours")
    everything = parser.parse_args().all
    table = Table("neighbors", "cell", "inputs", "genes", "model")
    for cell, inputs in SETTINGS if everything else SETTINGS[:1]:
        what = {"cell": cell, "inputs": inputs}
        graphs = [name for name in GRAPHS if not table.has(**what, model=name)] if everything else ["nearest"]
        if not graphs:
            continue
        adata = load((cell,), inputs)
        connect(adata, cell)
        keys = {NONE: None} | {name: GRAPHS[name] for name in graphs}
        predictions = {
            name: kept(("neighbors", cell, inputs, name), partial(simplechrome, adata, neighbors_key=key))
            for name, key in keys.items()
        }
        linked = adata[adata.obsp["hic_connectivities"].getnnz(axis=1) > 0]
        rows = [
            sct.evaluation.compare(part, predictions, reference=NONE, unit="block").assign(genes=genes)
            for genes, part in (("all", adata), ("with a Hi-C neighbour", linked))
        ] + [
            calls(adata, predictions[NONE], predictions[name]).assign(model=name, reference=NONE, genes="all")
            for name in graphs
        ]
        result = pd.concat(rows).assign(**what)
        shown = result[~result["metric"].isin(["AUPRC", "accuracy", "ECE", "Spearman"])]
        print(shown[["cell", "inputs", "genes", "model", "metric", "value", "difference", "low", "high"]].to_string())
        if everything:
            table.add(result)


if __name__ == "__main__":
    main()

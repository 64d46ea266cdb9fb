"""Quality of the latent space in each cell type: decoded marks, chromatin states, placed genes.

For each cell type a model is trained on all genes except those of the test chromosomes (1, 8 and 21). Three things are
measured on the genes of the test chromosomes, whose marks the model has not seen: the mean squared error of the decoded
marks, compared with as many principal components that are fitted on the same training genes; the mean expression of
each chromatin state; and the share of test genes that have the same neighbourhood when they are placed on the map of
the other genes as on a map made with them. The default cell type is E116; ``--all`` runs all cell types (six minutes)
and writes ``benchmarks/results/latent.csv``.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _runs import CELL_TYPES, RESULTS, load
from sklearn.neighbors import NearestNeighbors

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad


def placement_agreement(placed: ad.AnnData, known: ad.AnnData, whole: ad.AnnData, *, groupby: str) -> float:
    """Share of the placed genes whose 15 nearest genes have the same most frequent group as on a map made with them."""
    genes = [*placed.obs_names, *known.obs_names]
    slot = "X_simplechrome_umap"
    # Genes without a group do not count as neighbours.
    group = whole.obs.loc[genes, groupby].astype("category").cat.codes.replace(-1, np.nan).to_numpy()
    first, second = (
        pd.DataFrame(group[NearestNeighbors(n_neighbors=15).fit(positions).kneighbors(return_distance=False)])
        .iloc[: placed.n_obs]
        .mode(axis=1)[0]
        for positions in (np.concatenate([placed.obsm[slot], known.obsm[slot]]), whole[genes].obsm[slot])
    )
    return float((first == second).mean())


def measure(cell: str) -> dict[str, object]:
    adata = load((cell,), "TSS + body")
    held_out = (adata.obs["split"] == "test").to_numpy()
    known, test = adata[~held_out].copy(), adata[held_out].copy()
    model = sct.SimpleChrome(known)
    model.train(progress=False)
    sct.tl.reconstruction(test, model, reference=known)
    table = test.uns["reconstruction"]
    mse = table.groupby("model")["mse"].mean()
    wide = table.pivot(index=["region", "mark"], columns="model", values="mse")
    scores = model.evaluate(test, splits=["test"], n_bootstrap=0).set_index("metric")["value"]
    whole = adata.copy()
    for part in (known, whole):
        sct.tl.embed(part, model, backend="scanpy")
    sct.tl.name_states(whole)
    print(whole.uns["state"]["rule"])
    states = sct.get.states(whole).drop_duplicates("state").set_index("state")
    print(states[["n", "log_expression"]].round(2).to_string(), flush=True)
    sct.tl.name_states(whole, groupby=None, key_added="own_state")
    sct.tl.place(test, known, model)
    agreement = {group: placement_agreement(test, known, whole, groupby=group) for group in ("label", "own_state")}
    sct.tl.latent_dimensions(test, model)
    expression = states["log_expression"]
    return {
        "cell": cell,
        "test genes": test.n_obs,
        "AUROC": scores["AUROC"],
        "Pearson": scores["Pearson"],
        "mse": mse["SimpleChrome"],
        "mse of PCA": mse["PCA"],
        "marks decoded better": f"{int((wide['SimpleChrome'] < wide['PCA']).sum())} of {len(wide)}",
        "active dimensions": int(test.uns["latent_dimensions"]["active"].sum()),
        "placed, same label": agreement["label"],
        "placed, same state": agreement["own_state"],
        "expression, active and transcribed": expression.get("active promoter, transcribed"),
        "expression, Polycomb": expression.get("Polycomb"),
        "expression, quiescent": expression.get("quiescent"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every cell type; six minutes")
    everything = parser.parse_args().all
    rows = []
    for cell in CELL_TYPES if everything else ["E116"]:
        rows.append(measure(cell))
        print(pd.Series(rows[-1]).to_string(), flush=True)
    table = pd.DataFrame(rows)
    print(table.round(4).T.to_string(header=False))
    if everything:
        RESULTS.mkdir(exist_ok=True)
        table.to_csv(RESULTS / "latent.csv", index=False, float_format="%.4f")


if __name__ == "__main__":
    main()

"""What the latent space holds, cell type by cell type: marks decoded, states named, genes placed.

For each cell type a model is trained on all genes but those of the test chromosomes (1, 8, 21), whose marks it has not
seen. Then, on those: mean squared error of the decoded marks beside that of principal components of equal number,
fitted on the same genes; mean expression by chromatin state of the cluster; and the share of test genes that, placed on
the map of the others, have a neighbourhood of the same kind as on a map made with them. By default E116; ``--all`` runs
all cell types (six minutes) and writes ``benchmarks/results/latent.csv``.
"""

from __future__ import annotations

import argparse

import pandas as pd
from _runs import RESULTS, load

import simplechrome_tk as sct


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
    agreement = {
        group: sct.get.placement_agreement(test, known, whole, groupby=group) for group in ("label", "own_state")
    }
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
    for cell in sct.datasets.CELL_TYPES if everything else ["E116"]:
        rows.append(measure(cell))
        print(pd.Series(rows[-1]).to_string(), flush=True)
    table = pd.DataFrame(rows)
    print(table.round(4).T.to_string(header=False))
    if everything:
        RESULTS.mkdir(exist_ok=True)
        table.to_csv(RESULTS / "latent.csv", index=False, float_format="%.4f")


if __name__ == "__main__":
    main()

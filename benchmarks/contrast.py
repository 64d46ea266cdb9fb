"""Changes between two conditions: predicted on held-out chromosomes, and found among simulated replicates.

By default the simulated part: 50 sets of 1,500 genes with three replicates of two conditions, of which a tenth change
marks and expression, and 50 without any change; one model that was trained on another set predicts them all. ``--all``
adds the real part: every two of E116, E123 and E117, test chromosomes 1, 8 and 21, from models of all three cell types,
and each cell type without its labels from another one (about an hour on one core; models are shared with
``benchmarks/related_genes.py``). Results are in ``benchmarks/results/contrast.csv`` and ``contrast_simulated.csv``.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _runs import CELL_TYPES, Table, load
from related_genes import ALL, GRAPH, Trained, without_labels
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import anndata as ad

CONTEXT = {"neighbors_key": GRAPH, "reference_key": ALL}
N_SIMULATED, N_NETWORKS, N_BOOTSTRAP = 50, 2, 1_000
SCORES = ("Pearson", "Spearman", "sign right beyond tenfold")


def simulated() -> pd.DataFrame:
    """Return one row for each simulated set: genes called, false ones, power, and how attributions rank marks."""
    known = sct.datasets.simulate_conditions(1_500, rng=1_000)
    sct.pp.split_by_chromosome(known)
    sct.pp.normalize(known)
    model = sct.SimpleChrome(known, rng=0)
    model.train(progress=False)
    model = model.add_contrast(key="condition", progress=False)
    return pd.DataFrame(
        {"planted": planted, "set": rng, **_score_simulated(model, n_changed, rng)}
        for planted, n_changed in (("a tenth of the genes", None), ("none", 0))
        for rng in range(N_SIMULATED)
    )


def _score_simulated(model: sct.SimpleChrome, n_changed: int | None, rng: int) -> dict[str, float]:
    adata = sct.datasets.simulate_conditions(1_500, n_changed=n_changed, rng=rng)
    sct.pp.normalize(adata, reference=model.normalization)
    explained = adata.obs["true_change"].to_numpy() != 0
    sct.tl.contrast(
        adata, model, key="condition", of="B", against="A", genes=explained if explained.any() else None, progress=False
    )
    genes = adata.obs[adata.obs["contrast_change"].notna()]
    changed, called = genes["true_change"] != 0, genes["contrast_fdr"] <= 0.05
    row = {"called": int(called.sum()), "false": int((called & ~changed).sum())}
    row["false_share"] = row["false"] / max(row["called"], 1)
    if not changed.any():
        return row
    effects = sct.get.mark_effects(adata, key="contrast").merge(
        genes[["true_mark", "true_change"]], left_on="gene", right_index=True
    )
    planted = effects["mark"].astype(str) == effects["true_mark"].astype(str)
    right = np.sign(effects["effect"]) == np.sign(effects["true_change"])
    return {
        **row,
        "power": float((called & changed).sum() / changed.sum()),
        "marks_auroc": float(roc_auc_score(planted, effects["effect"].abs())),
        "marks_sign": float(right[planted].mean()),
    }


def real() -> Iterator[pd.DataFrame]:
    """Yield the scores of predicted changes, with and without what else is known of the genes."""
    adata = load(CELL_TYPES, "TSS + body", method="quantile").copy()
    sct.pp.add_reference_expression(adata, exclude=CELL_TYPES)
    sct.pp.coexpression_neighbors(adata)
    cells = {cell: adata[adata.obs["cell_type"] == cell].copy() for cell in CELL_TYPES}
    trained = Trained(adata, "all")
    changes: dict[tuple[str, str], dict[str, list[np.ndarray]]] = {pair: {} for pair in combinations(CELL_TYPES, 2)}
    for seed in range(N_NETWORKS):
        own = trained.own(seed)
        models = {"own marks": own, "+ co-expressed genes, reference": own.add_context(progress=False, **CONTEXT)}
        for name, model in models.items():
            for head, trained_model in (("difference", model), ("contrast", model.add_contrast(progress=False))):
                for (one, other), found in changes.items():
                    change = _change(trained_model, adata, one, other)
                    found.setdefault(f"{name}, {head}", []).append(change)
                    print(one, other, name, head, seed, flush=True)
    for (one, other), found in changes.items():
        predicted = {name: np.mean(parts, axis=0) for name, parts in found.items()}
        predicted["control: contrast of other genes"] = np.random.default_rng(0).permutation(
            predicted["own marks, contrast"]
        )
        predicted["baseline: ridge regression on differences of marks"] = _ridge(cells[one], cells[other])
        yield _score_changes(cells[one], cells[other], predicted).assign(of=one, against=other)


def _change(model: sct.SimpleChrome, adata: ad.AnnData, one: str, other: str) -> np.ndarray:
    found = sct.tl.contrast(adata, model, of=one, against=other, n_explained=0, copy=True, progress=False)
    return found.obs.loc[found.obs["cell_type"] == one, "contrast_change"].to_numpy()


def _ridge(one: ad.AnnData, other: ad.AnnData) -> np.ndarray:
    """Predict the change from the difference of each mark's means over quarters of each region."""
    x = np.hstack(
        [
            sct.get.region(one, region).mean(axis=2) - sct.get.region(other, region).mean(axis=2)
            for region in ("tss", "body")
        ]
    )
    train = (one.obs["split"] == "train").to_numpy()
    return RidgeCV(np.logspace(-2, 4, 13)).fit(x[train], _measured(one, other)[train]).predict(x)


def _measured(one: ad.AnnData, other: ad.AnnData) -> np.ndarray:
    of, against = (sct.pp.log_expression(adata.obs["expression"].to_numpy()) for adata in (one, other))
    return of - against


def _score_changes(one: ad.AnnData, other: ad.AnnData, predicted: dict[str, np.ndarray]) -> pd.DataFrame:
    """Score changes on the test chromosomes, with intervals over genes."""
    test = np.flatnonzero(one.obs["split"] == "test")
    measured = _measured(one, other)
    rng = np.random.default_rng(0)
    draws = [rng.choice(test, len(test)) for _ in range(N_BOOTSTRAP)]
    rows = []
    for name, change in predicted.items():
        whole = _scores(measured[test], change[test])
        resampled = np.array([_scores(measured[draw], change[draw]) for draw in draws])
        low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
        rows += [
            {"model": name, "metric": metric, "value": value, "low": bounds[0], "high": bounds[1], "n": len(test)}
            for metric, value, *bounds in zip(SCORES, whole, low, high, strict=True)
        ]
    return pd.DataFrame(rows)


def _scores(measured: np.ndarray, change: np.ndarray) -> Sequence[float]:
    far = np.abs(measured) > 1
    return (
        float(np.corrcoef(measured, change)[0, 1]),
        float(spearmanr(measured, change).statistic),
        float((np.sign(measured[far]) == np.sign(change[far])).mean()),
    )


def from_reference() -> Iterator[pd.DataFrame]:
    """Yield the scores of each cell type, predicted without its labels from marks and expression in another one."""
    for cell in CELL_TYPES:
        known, new = without_labels(cell)
        model = Trained(known, "without", cell).own(0)
        for name, of in (
            ("own marks", model),
            ("+ co-expressed genes, reference", model.add_context(progress=False, **CONTEXT)),
        ):
            changes = of.add_contrast(progress=False)
            tables = {"no reference cell": of.predict(new)}
            for other in known.obs["cell_type"].unique():
                tables[f"from {other}"] = changes.predict(new, reference=known[known.obs["cell_type"] == other].copy())
            for reference, table in tables.items():
                scores = sct.evaluation.evaluate(new, table, splits=("valid", "test"))
                scores = scores[scores["metric"].isin(["AUROC", "Pearson", "deviation"])]
                print(cell, name, reference, scores.round(4).to_string(index=False), sep="\n", flush=True)
                yield scores.assign(of=cell, against=reference, model=f"no labels, {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also real cell types; about an hour")
    arguments = parser.parse_args()
    start = time.perf_counter()
    sets = simulated()
    print(sets.groupby("planted").mean().round(3).to_string(), f"{time.perf_counter() - start:.0f} s", flush=True)
    Table("contrast_simulated", "planted", "set").add(sets)
    if arguments.all:
        rows = pd.concat([*real(), *from_reference()])
        columns = ["of", "against", "model", "split", "metric", "value", "low", "high", "n"]
        rows = rows.reindex(columns=columns).fillna({"split": "test"})
        Table("contrast", "of", "against", "model", "split", "metric").add(rows)
        print(rows.round(4).to_string(index=False))


if __name__ == "__main__":
    main()

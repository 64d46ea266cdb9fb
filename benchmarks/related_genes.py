"""What related genes and reference samples add to own marks, with controls, beside boosting on the same inputs.

Test chromosomes 1, 8 and 21; five marks, TSS and body; annotated genes. The reference samples are the 53 Roadmap
epigenomes besides E116, E117 and E123. Phases 1 and 2 are trained once for each seed; each context is added to them.
Three seeds for the headline rows and one for the controls; intervals resample genes and trainings. The rows without
labels are of one model that was trained on the two other cell types, with the reference of the new one. By default
E116;
``--all`` runs E116, E123 and E117 (about an hour on one core), and writes ``benchmarks/results/related_genes.csv``.
Predictions are kept in ``build/benchmark``.
"""

from __future__ import annotations

import argparse
import functools
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _runs import CELL_TYPES, KEPT, Table, kept, load
from scipy import sparse

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anndata as ad

OWN = "own marks"
MEAN, ALL, GRAPH = "reference_mean", "reference_expression", "coexpression"
CONTEXTS = {
    "+ co-expressed genes": {"neighbors_key": GRAPH},
    "+ co-expressed genes, mean of the reference": {"neighbors_key": GRAPH, "reference_key": MEAN},
    "+ co-expressed genes, reference": {"neighbors_key": GRAPH, "reference_key": ALL},
    "+ reference": {"reference_key": ALL},
}
CONTROLS = {
    "+ random genes, weights of the co-expressed": {"neighbors_key": "random_weighted"},
    "+ random genes, random weights": {"neighbors_key": "random"},
    "+ typical level of co-expressed genes, no marks": {"reference_key": "typical_level"},
    "+ reference, permuted between genes": {"reference_key": "permuted"},
    "+ nearest genes": {"neighbors_key": "tss"},
    "+ Hi-C genes": {"neighbors_key": "hic"},
}
BOOSTING = {
    "boosting, own marks": {},
    "boosting, + co-expressed genes": {"neighbors_key": GRAPH},
    "boosting, + co-expressed genes, mean of the reference": {"neighbors_key": GRAPH, "reference_key": MEAN},
    "boosting, + co-expressed genes, reference": {"neighbors_key": GRAPH, "reference_key": ALL},
    "boosting, reference without marks": {"reference_key": ALL, "marks": False},
}
UNLABELLED = {
    "no labels, own marks": None,
    "no labels, + co-expressed genes, reference": {"neighbors_key": GRAPH, "reference_key": ALL},
}
PERMUTED = "+ co-expressed genes, permuted labels"
METRICS, INTERVAL = ("AUROC", "Pearson", "deviation"), ("low", "high", "share_above")
N_SEEDS, N_CONTROL_SEEDS = 3, 1


def connect(adata: ad.AnnData, cell: str) -> None:
    """Write references and graphs, and their controls."""
    sct.pp.add_reference_expression(adata, exclude=CELL_TYPES)
    sct.pp.coexpression_neighbors(adata)
    sct.pp.tss_neighbors(adata)
    sct.pp.contact_neighbors(adata, {cell: sct.datasets.hic_loops(cell)})
    rng = np.random.default_rng(0)
    public = sct.datasets.reference_expression().drop(columns=list(CELL_TYPES))
    of_gene = public.agg(["mean", "std"], axis=1)
    sct.pp.add_reference_expression(adata, of_gene, key_added=MEAN)
    # The same profiles, each of another gene.
    shuffled = public.set_axis(rng.permutation(public.index), axis=0)
    sct.pp.add_reference_expression(adata, shuffled, key_added="permuted")
    # Other genes as neighbours. The weights say how closely a gene follows others, which is something known of it: in
    # the second control they are those of another gene as well.
    other, another = rng.permutation(adata.n_obs), rng.permutation(adata.n_obs)
    pairs = adata.obsp[f"{GRAPH}_connectivities"].tocoo()
    for name, rows in (("random_weighted", pairs.row), ("random", another[pairs.row])):
        columns = other[pairs.col]
        itself = rows == columns
        links = (rows[~itself], columns[~itself])
        random = sparse.csr_matrix((pairs.data[~itself], links), shape=pairs.shape)
        adata.obsp[f"{name}_connectivities"], adata.obsp[f"{name}_distances"] = random, random * 0
    # How high co-expressed genes usually are, which a model could know without their marks in this cell type.
    weights = adata.obsp[f"{GRAPH}_connectivities"]
    level = (weights @ adata.obsm[MEAN][:, 0]) / np.maximum(np.asarray(weights.sum(axis=1)).ravel(), 1e-6)
    table = pd.DataFrame({"typical_level": level}, index=adata.obs_names)
    sct.pp.add_reference_expression(adata, table.clip(lower=-1), key_added="typical_level")


def permute_labels(adata: ad.AnnData) -> ad.AnnData:
    """Return data whose training and validation genes have the expression of others."""
    permuted = adata.copy()
    for split in ("train", "valid"):
        rows = np.flatnonzero(permuted.obs["split"] == split)
        for column in ("label", "expression"):
            values = permuted.obs[column].to_numpy().copy()
            values[rows] = values[np.random.default_rng(0).permutation(rows)]
            permuted.obs[column] = values
    return permuted


class Trained:
    """Networks of the genes' own marks, trained once for each seed, and kept under a name."""

    def __init__(self, adata: ad.AnnData, *name: str) -> None:
        self.adata, self.folder = adata, KEPT.joinpath("models", "related", *name)

    def own(self, seed: int) -> sct.SimpleChrome:
        """Train, unless an earlier run has kept the model."""
        path = self.folder / str(seed)
        if not path.exists():
            model = sct.SimpleChrome(self.adata, rng=seed)
            model.train(progress=False)
            model.save(path)
        return sct.SimpleChrome.load(path, self.adata)

    def predict(self, seed: int, context: dict[str, str] | None) -> pd.DataFrame:
        """Predict with own marks, or with a context that is added to them."""
        model = self.own(seed)
        return (model if context is None else model.add_context(progress=False, **context)).predict()


def predictions(cell: str) -> Iterator[tuple[str, list[pd.DataFrame]]]:
    """Yield each model's predictions, one for each seed."""
    adata = data(cell)
    trained = Trained(adata, cell)
    for name, context in {OWN: None, **CONTEXTS, **CONTROLS}.items():
        n_seeds = N_CONTROL_SEEDS if name in CONTROLS else N_SEEDS
        yield (
            name,
            [
                kept(("related", cell, name, str(seed)), partial(trained.predict, seed, context))
                for seed in range(n_seeds)
            ],
        )
    permuted = Trained(permute_labels(adata), cell, "permuted")
    context = CONTEXTS["+ co-expressed genes"]
    yield PERMUTED, [kept(("related", cell, PERMUTED, "0"), partial(permuted.predict, 0, context))]
    ensemble = "+ co-expressed genes, reference, mean of the networks"
    tables = [
        kept(("related", cell, "+ co-expressed genes, reference", str(seed)), partial(trained.predict, seed, None))
        for seed in range(N_SEEDS)
    ]
    yield ensemble, [sum(tables[1:], tables[0]) / N_SEEDS]
    simple = {
        "mean of the reference": sct.evaluation.ReferenceMean,
        "nearest reference": sct.evaluation.NearestReference,
    }
    for name, model in simple.items():
        yield name, [kept(("related", cell, name), lambda model=model: model().fit(adata).predict(adata))]
    for name, inputs in UNLABELLED.items():
        yield name, [kept(("related", cell, name), partial(predict_without_labels, cell, inputs))]
    for name, inputs in BOOSTING.items():
        yield name, [kept(("related", cell, name), partial(boost, cell, inputs))]


def predict_without_labels(cell: str, context: dict[str, str] | None) -> pd.DataFrame:
    """Train on the two other cell types and predict this one."""
    others = tuple(other for other in CELL_TYPES if other != cell)
    known = load(others, "TSS + body", method="quantile").copy()
    new = sct.datasets.roadmap(cell)
    sct.pp.split_by_chromosome(new)
    sct.pp.normalize(new, reference=known.uns["normalize"])
    for adata in (known, new):
        sct.pp.add_reference_expression(adata, exclude=CELL_TYPES)
        sct.pp.coexpression_neighbors(adata)
    own = Trained(known, "without", cell).own(0)
    return (own if context is None else own.add_context(progress=False, **context)).predict(new)


def boost(cell: str, inputs: dict[str, str]) -> pd.DataFrame:
    adata = data(cell)
    return sct.evaluation.GradientBoosting(n_seeds=2, **inputs).fit(adata).predict(adata)


@functools.lru_cache(maxsize=1)
def data(cell: str) -> ad.AnnData:
    adata = load((cell,), "TSS + body")
    connect(adata, cell)
    return adata


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="all cell types, and write the table; about an hour")
    everything = parser.parse_args().all
    table = Table("related_genes", "cell", "model")
    for cell in ("E116", "E123", "E117") if everything else ("E116",):
        found = dict(predictions(cell))
        adata = data(cell)
        scores = pd.concat(
            sct.evaluation.evaluate(adata, list(made), splits=("test",)).assign(model=name, trainings=len(made))
            for name, made in found.items()
        )
        pairs = [(name, OWN) for name in (*CONTEXTS, *CONTROLS, PERMUTED)] + [
            (f"{name}", f"boosting, {name}") for name in list(CONTEXTS)[:3]
        ]
        pairs += [("+ co-expressed genes", "+ typical level of co-expressed genes, no marks")]
        differences = pd.concat(
            sct.evaluation.compare(adata, {second: found[second], first: found[first]}, reference=second)
            for first, second in pairs
        )
        rows = scores[scores["metric"].isin(METRICS)].assign(reference="")
        differences = differences[differences["metric"].isin(METRICS)]
        rows = pd.concat([rows, differences]).assign(cell=cell)
        columns = [
            "cell",
            "model",
            "reference",
            "metric",
            "value",
            "difference",
            "low",
            "high",
            "share_above",
            "n",
            "trainings",
        ]
        rows = rows[columns]
        if everything:
            table.add(rows)
        with pd.option_context("display.width", 200, "display.max_rows", 200, "display.max_colwidth", 60):
            print(rows.round(4).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()

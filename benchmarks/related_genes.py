"""What related genes and reference samples add to own marks, with controls, beside boosting on the same inputs.

Test chromosomes 1, 8 and 21; five marks, TSS and body; annotated genes. The reference samples are the 53 Roadmap
epigenomes besides E116, E117 and E123. Phases 1 and 2 are trained once for each seed; each context is added to them.
Five seeds for the headline rows, two without labels and one for the controls; intervals resample genes and
trainings, and the same genes in every cell type. The rows without labels are of models that were trained on the two
other cell types, with the reference of the new one. By default E116; ``--all`` runs E116, E123 and E117 (about two
hours on one core), and writes ``benchmarks/results/related_genes.csv``, and the scores by kind of gene and
of a split by gene family to ``related_genes_groups.csv``. Predictions are kept in ``build/benchmark``.
"""

from __future__ import annotations

import argparse
import functools
from functools import partial
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
from _runs import CELL_TYPES, KEPT, Table, kept, load
from scipy import sparse

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Iterator


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
    "no labels, + reference": {"reference_key": ALL},
    "no labels, + co-expressed genes, reference": {"neighbors_key": GRAPH, "reference_key": ALL},
}
PERMUTED = "+ co-expressed genes, permuted labels"
NETWORKS = ", mean of the networks"
METRICS = ("AUROC", "Pearson", "deviation")
N_SEEDS, N_UNLABELLED_SEEDS, N_CONTROL_SEEDS = 5, 2, 1
COLUMNS = [
    *("cell", "model", "reference", "metric", "value", "difference"),
    *("low", "high", "share_above", "n", "trainings"),
]


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
    simple = {
        "mean of the reference": sct.evaluation.ReferenceMean,
        "nearest reference": sct.evaluation.NearestReference,
    }
    for name, model in simple.items():
        yield name, [kept(("related", cell, name), lambda model=model: model().fit(adata).predict(adata))]
    for name, inputs in UNLABELLED.items():
        yield (
            name,
            [
                kept(("related", cell, name, str(seed)), partial(predict_without_labels, cell, seed, inputs))
                for seed in range(N_UNLABELLED_SEEDS)
            ],
        )
    for name, inputs in BOOSTING.items():
        yield name, [kept(("related", cell, name), partial(boost, cell, inputs))]


@functools.lru_cache(maxsize=1)
def without_labels(cell: str) -> tuple[ad.AnnData, ad.AnnData]:
    """Return the two other cell types, and this one normalised with their constants."""
    others = tuple(other for other in CELL_TYPES if other != cell)
    known = load(others, "TSS + body", method="quantile").copy()
    new = sct.datasets.roadmap(cell)
    sct.pp.split_by_chromosome(new)
    sct.pp.normalize(new, reference=known.uns["normalize"])
    for adata in (known, new):
        sct.pp.add_reference_expression(adata, exclude=CELL_TYPES)
        sct.pp.coexpression_neighbors(adata)
    return known, new


def predict_without_labels(cell: str, seed: int, context: dict[str, str] | None) -> pd.DataFrame:
    """Train on the two other cell types and predict this one."""
    known, new = without_labels(cell)
    own = Trained(known, "without", cell).own(seed)
    return (own if context is None else own.add_context(progress=False, **context)).predict(new)


def boost(cell: str, inputs: dict[str, str]) -> pd.DataFrame:
    adata = data(cell)
    return sct.evaluation.GradientBoosting(n_seeds=2, **inputs).fit(adata).predict(adata)


@functools.lru_cache(maxsize=1)
def data(cell: str) -> ad.AnnData:
    adata = load((cell,), "TSS + body")
    connect(adata, cell)
    return adata


def stacked(found: dict[str, dict[str, list[pd.DataFrame]]]) -> tuple[ad.AnnData, dict[str, list[pd.DataFrame]]]:
    """Return what was measured in all cell types, and each model's predictions of them, one table for each training."""
    genes = []
    for cell in found:
        adata = data(cell)
        of_cell = ad.AnnData(obs=adata.obs.assign(cell_type=cell), obsm={ALL: adata.obsm[ALL]}, uns=adata.uns)
        of_cell.obs_names += f":{cell}"
        genes.append(of_cell)
    tables = {
        name: [
            pd.concat(table.set_axis(table.index + f":{cell}") for cell, table in zip(found, trainings, strict=True))
            for trainings in zip(*(found[cell][name] for cell in found), strict=True)
        ]
        for name in next(iter(found.values()))
    }
    for name in list(tables):
        if len(tables[name]) > 1:
            tables[name + NETWORKS] = [sum(tables[name][1:], tables[name][0]) / len(tables[name])]
    return ad.concat(genes, uns_merge="same"), tables


def differences(adata: ad.AnnData, tables: dict[str, list[pd.DataFrame]]) -> pd.DataFrame:
    """Compare each model with own marks, with boosting on the same inputs, and with the typical level."""
    pairs = [(name, OWN) for name in (*CONTEXTS, *CONTROLS, PERMUTED)]
    pairs += [(name, f"boosting, {name}") for name in (OWN, *CONTEXTS) if f"boosting, {name}" in tables]
    pairs += [(name + NETWORKS, f"boosting, {name}") for name in (OWN, *CONTEXTS) if f"boosting, {name}" in tables]
    pairs += [("+ co-expressed genes", "+ typical level of co-expressed genes, no marks")]
    return pd.concat(
        sct.evaluation.compare(adata, {second: tables[second], first: tables[first]}, reference=second)
        for first, second in pairs
    )


def by_stratum(found: dict[str, dict[str, list[pd.DataFrame]]]) -> Iterator[pd.DataFrame]:
    """Yield the scores of own marks, contexts and references for each kind of gene."""
    for cell, tables in found.items():
        adata = sct.pp.gene_strata(data(cell), copy=True)
        for name in (OWN, *CONTEXTS, "mean of the reference", "boosting, reference without marks"):
            for column in ("specificity", "expressed", "bivalent", "next_tss"):
                scores = sct.evaluation.evaluate(adata, tables[name], splits=("test",), groupby=column)
                scores = scores.rename(columns={column: "group"}).drop(columns="split")
                yield scores.assign(by=column, cell=cell, model=name)


def by_family(cell: str) -> Iterator[pd.DataFrame]:
    """Yield the scores of models whose test genes share no family, that is no stem of the symbol, with others."""
    adata = data(cell).copy()
    sct.pp.split_by_family(adata)
    trained = Trained(adata, cell, "family")
    for name in (OWN, "+ co-expressed genes", "+ co-expressed genes, reference"):
        table = kept(("related", cell, f"family {name}"), partial(trained.predict, 0, {OWN: None, **CONTEXTS}[name]))
        scores = sct.evaluation.evaluate(adata, table, splits=("test",)).drop(columns="split")
        yield scores.assign(by="split", group="by gene family", cell=cell, model=name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="all cell types, and write the tables; about two hours")
    everything = parser.parse_args().all
    found = {cell: dict(predictions(cell)) for cell in (CELL_TYPES if everything else CELL_TYPES[:1])}
    adata, tables = stacked(found)
    scores = pd.concat(
        sct.evaluation.evaluate(adata, made, splits=("test",), groupby="cell_type").assign(
            model=name, trainings=len(made)
        )
        for name, made in tables.items()
    )
    rows = pd.concat([scores.assign(reference=""), differences(adata, tables)])
    rows = rows[rows["metric"].isin(METRICS)].rename(columns={"cell_type": "cell"})[COLUMNS]
    with pd.option_context("display.width", 200, "display.max_rows", 1_000, "display.max_colwidth", 80):
        print(rows.round(4).to_string(index=False), flush=True)
    if everything:
        Table("related_genes", "cell", "model", "reference", "metric").add(rows)
        groups = pd.concat([*by_stratum(found), *(scores for cell in found for scores in by_family(cell))])
        keys = ["by", "group", "cell", "model", "metric"]
        groups = groups[groups["metric"].isin(METRICS)]
        Table("related_genes_groups", *keys).add(groups[[*keys, "value", "low", "high", "n"]])


if __name__ == "__main__":
    main()

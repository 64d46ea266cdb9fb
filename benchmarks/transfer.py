"""Value of other cell types: prediction without labels, and with 30, 100, ... labels of the cell type itself.

A cell type is left out; models are pre-trained on the two others. No model reads labels of the test chromosomes, of any
cell type. By default a subset of some minutes: E116, one network (seed 0), no label and 100 labels, one draw.
``--all`` runs everything with three networks (seeds 0 to 2) that ``unseen.csv`` and ``few_labels.csv`` in
``benchmarks/results`` do not hold yet (hours), and adds it to them.
"""

from __future__ import annotations

import argparse
from functools import cache, partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch
from _runs import CELL_TYPES, WINDOWS, Table, kept, load, trained_on
from sklearn.decomposition import PCA

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad
    import pandas as pd

INPUTS = "TSS + body"
SIZES = (30, 100, 300, 1_000, 3_000, None)
N_DRAWS = 5


@cache
def raw(cell: str) -> ad.AnnData:
    adata = sct.datasets.roadmap([cell], windows=WINDOWS[INPUTS])
    sct.pp.split_by_chromosome(adata)
    return adata


def others(cell: str) -> tuple[str, ...]:
    return tuple(name for name in CELL_TYPES if name != cell)


@cache
def unseen(cell: str) -> ad.AnnData:
    """Normalise the cell type left out with the others' constants."""
    known = load(others(cell), INPUTS, method="quantile")
    return sct.pp.normalize(raw(cell), reference=known.uns["normalize"], copy=True)


def without_labels(cell: str, n_models: int) -> dict[str, Callable[[], pd.DataFrame]]:
    """Models of the two other cell types, which predict this one."""

    def boosting() -> pd.DataFrame:
        known = load(others(cell), INPUTS, method="quantile")
        return sct.evaluation.GradientBoosting().fit(known).predict(unseen(cell))

    return {
        "gradient boosting": boosting,
        f"SimpleChrome, {n_models} models": lambda: trained_on(others(cell), INPUTS, n_models).predict(unseen(cell)),
    }


def labelled(adata: ad.AnnData, size: int | None, draw: int) -> ad.AnnData:
    """Keep the labels of ``size`` genes outside the test chromosomes, a fifth of them for validation, in a copy."""
    adata = adata.copy()
    outside = np.flatnonzero(adata.obs["split"] != "test")
    if size is None:
        return adata
    drawn = np.random.default_rng(draw).permutation(outside)[:size]
    hidden = np.setdiff1d(np.arange(adata.n_obs), drawn)
    adata.obs.loc[adata.obs_names[hidden], "label"] = None
    adata.obs.loc[adata.obs_names[hidden], "expression"] = np.nan
    split = adata.obs["split"].astype(str).to_numpy()
    split[outside] = "train"
    split[drawn[: max(size // 5, 6)]] = "valid"
    adata.obs["split"] = split
    return adata


def everything_trains(adata: ad.AnnData) -> ad.AnnData:
    """For models that need no validation genes."""
    adata.obs["split"] = np.where(adata.obs["split"] == "test", "test", "train")
    return adata


@cache
def latents(cell: str) -> np.ndarray:
    """Latents that phase 1 learns from the marks of the cell type alone."""
    adata = sct.pp.normalize(raw(cell), copy=True)
    model = sct.SimpleChrome(adata, gene_length=False)
    recipe = model.settings.recipe(latent={}, expression={})
    x = torch.as_tensor(adata.X)
    (net,) = model.module.networks
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sct.nn.fit_latent(net, x, held_out=torch.arange(1_000), recipe=recipe)
    return sct.nn.encode(net, x).mean.numpy()


@cache
def components(cell: str) -> np.ndarray:
    """Compute 32 principal components of the marks of all genes of the cell type."""
    return PCA(32, random_state=0).fit_transform(sct.pp.normalize(raw(cell), copy=True).X)


def with_labels(cell: str, size: int | None, draw: int, n_models: int) -> dict[str, Callable[[], pd.DataFrame]]:
    """Ways to use a few labels of a cell type."""

    def plain(make: Callable[[], object], use_rep: str | None = None) -> pd.DataFrame:
        adata = sct.pp.normalize(raw(cell), copy=True)
        adata.obsm["X_latent"] = latents(cell)
        adata.obsm["X_pca"] = components(cell)
        adata = everything_trains(labelled(adata, size, draw))
        return make().fit(adata, use_rep=use_rep).predict(adata)

    def from_nothing() -> pd.DataFrame:
        adata = labelled(sct.pp.normalize(raw(cell), copy=True), size, draw)
        model = sct.SimpleChrome(adata)
        model.train(batch_size=None if size is None else min(256, max(16, size // 8)), progress=False)
        return model.predict()

    def pretrained() -> tuple[sct.SimpleChrome, ad.AnnData]:
        return trained_on(others(cell), INPUTS, n_models), labelled(unseen(cell), size, draw)

    def adapted() -> pd.DataFrame:
        model, adata = pretrained()
        return model.adapt(adata).predict()

    def tuned() -> pd.DataFrame:
        model, adata = pretrained()
        return model.fine_tune(adata, progress=False).predict()

    ways = {
        "raw + regression": partial(plain, sct.evaluation.LogisticRegression),
        "PCA + regression": partial(plain, sct.evaluation.LogisticRegression, "X_pca"),
        "latent, frozen + regression": partial(plain, sct.evaluation.LogisticRegression, "X_latent"),
        "pre-trained, adapted": adapted,
        "raw + gradient boosting": partial(plain, sct.evaluation.GradientBoosting),
        "pre-trained, fine-tuned": tuned,
        "latent, fine-tuned": from_nothing,
    }
    if size is not None and size < 1_000:
        del ways["pre-trained, fine-tuned"]
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="what the tables do not hold yet; hours")
    everything = parser.parse_args().all
    n_models = 3 if everything else 1
    measure = partial(measured, write=everything)
    unlabelled = Table("unseen", "cell", "model")
    for cell in CELL_TYPES if everything else ["E116"]:
        for model, predict in without_labels(cell, n_models).items():
            measure(unlabelled, {"cell": cell, "model": model}, ("unseen", cell, model), predict)
    few = Table("few_labels", "cell", "labels", "draw", "model")
    draws = [(100, 0)]
    if everything:
        draws = [(size, draw) for draw in range(N_DRAWS) for size in SIZES if size or not draw]
    every_way = list(with_labels("E116", None, 0, n_models))
    for way, (size, draw) in product(every_way, draws):  # the quick ways first
        ways = with_labels("E116", size, draw, n_models)
        if way in ways:
            what = {"cell": "E116", "labels": size or "all", "draw": draw, "model": way}
            measure(few, what, ("few labels", *map(str, what.values())), ways[way], n_bootstrap=0)


def measured(
    table: Table,
    what: dict[str, object],
    name: tuple[str, ...],
    predict: Callable[[], pd.DataFrame],
    *,
    write: bool,
    n_bootstrap: int = 1_000,
) -> None:
    """Score a prediction, unless the table that it is for has its scores."""
    if write and table.has(**what):
        return
    scores = sct.evaluation.evaluate(raw(what["cell"]), kept(name, predict), splits=["test"], n_bootstrap=n_bootstrap)
    print(scores[scores["metric"].isin(["AUROC", "Pearson", "ECE"])].to_string(index=False), flush=True)
    if write:
        table.add(scores.assign(**what))


if __name__ == "__main__":
    main()

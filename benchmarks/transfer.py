"""What other cell types are worth: prediction without labels, and with 30, 100, ... labels of the cell type itself.

A cell type is left out; models are pre-trained on the two others. Nobody sees the test chromosomes' labels of any cell
type. By default a subset of some minutes: E116, one network (seed 0), no label and 100 labels, one draw. ``--all`` runs
everything with three networks (seeds 0 to 2), goes on where it was stopped, and writes to ``benchmarks/results``:
``unseen.csv`` and ``few_labels.csv``.
"""

from __future__ import annotations

import argparse
from functools import cache, partial
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import torch
from _runs import KEPT, RESULTS, WINDOWS, is_kept, kept
from sklearn.decomposition import PCA

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = "TSS + body"
SIZES = (30, 100, 300, 1_000, 3_000, None)
N_DRAWS = 5


@cache
def raw(cell: str) -> ad.AnnData:
    adata = sct.datasets.roadmap([cell], windows=WINDOWS[INPUTS])
    sct.pp.split_by_chromosome(adata)
    return adata


@cache
def others(cell: str) -> ad.AnnData:
    """Load the two other cell types, with the normalisation that carries over."""
    adata = sct.datasets.roadmap([name for name in sct.datasets.CELL_TYPES if name != cell], windows=WINDOWS[INPUTS])
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata, method="quantile")
    return adata


@cache
def unseen(cell: str) -> ad.AnnData:
    """Normalise the cell type left out with the others' constants."""
    return sct.pp.normalize(raw(cell), reference=others(cell).uns["normalize"], copy=True)


@cache
def pretrained(cell: str, n_models: int) -> sct.SimpleChrome:
    """Train a model on the two other cell types, and keep it on disk."""
    path = KEPT / f"without_{cell}" / f"{n_models}_models"
    if not path.exists():
        model = sct.SimpleChrome(others(cell), n_models=n_models)
        model.train(progress=False)
        model.save(path)
    return sct.SimpleChrome.load(path)


def without_labels(cell: str, n_models: int) -> dict[str, Callable[[], pd.DataFrame]]:
    """Models of the two other cell types, asked about this one."""

    def boosting() -> pd.DataFrame:
        both = ad.concat([others(cell), unseen(cell)], merge="same", uns_merge="first")
        both.obs["split"] = np.where(both.obs["cell_type"] == cell, "test", both.obs["split"])
        prediction = sct.tl.fit_baseline(both, sct.tl.gradient_boosting())
        return prediction.loc[unseen(cell).obs_names]

    return {
        "gradient boosting": boosting,
        f"SimpleChrome, {n_models} models": lambda: pretrained(cell, n_models).predict(unseen(cell)),
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
        for _ in sct.nn.fit_latent(net, x, held_out=torch.arange(1_000), recipe=recipe):
            pass
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
        return sct.tl.fit_baseline(adata, make(), use_rep=use_rep)

    def from_nothing() -> pd.DataFrame:
        adata = labelled(sct.pp.normalize(raw(cell), copy=True), size, draw)
        model = sct.SimpleChrome(adata)
        model.train(batch_size=None if size is None else min(256, max(16, size // 8)), progress=False)
        return model.predict()

    def adapted() -> pd.DataFrame:
        return pretrained(cell, n_models).adapt(labelled(unseen(cell), size, draw)).predict()

    def tuned() -> pd.DataFrame:
        return pretrained(cell, n_models).fine_tune(labelled(unseen(cell), size, draw), progress=False).predict()

    ways = {
        "raw + regression": partial(plain, sct.tl.logistic_regression),
        "raw + gradient boosting": partial(plain, sct.tl.gradient_boosting),
        "PCA + regression": partial(plain, sct.tl.logistic_regression, "X_pca"),
        "latent, frozen + regression": partial(plain, sct.tl.logistic_regression, "X_latent"),
        "latent, fine-tuned": from_nothing,
        "pre-trained, adapted": adapted,
    }
    if size is None or size >= 1_000:
        ways["pre-trained, fine-tuned"] = tuned
    return ways


def score(cell: str, prediction: pd.DataFrame, *, n_bootstrap: int) -> pd.DataFrame:
    return sct.tl.evaluate(raw(cell), prediction, splits=["test"], n_bootstrap=n_bootstrap)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every cell type, size and draw; hours")
    parser.add_argument("--kept", action="store_true", help="tables of what earlier runs have kept; run nothing")
    options = parser.parse_args()
    everything = options.all
    cells = list(sct.datasets.CELL_TYPES) if everything else ["E116"]
    n_models = 3 if everything else 1
    rows = []
    for cell in cells:
        for model, predict in without_labels(cell, n_models).items():
            if options.kept and not is_kept(("unseen", cell, model)):
                continue
            prediction = kept(("unseen", cell, model), predict)
            rows.append(score(cell, prediction, n_bootstrap=1_000).assign(cell=cell, model=model))
    unseen_table = pd.concat(rows)
    print(unseen_table[unseen_table["metric"].isin(["AUROC", "Pearson", "ECE"])].to_string())
    rows = []
    for size in SIZES if everything else (100,):
        for draw in range(N_DRAWS if everything and size is not None else 1):
            for way, predict in with_labels("E116", size, draw, n_models).items():
                name = ("few labels", "E116", str(size or "all"), str(draw), way)
                if options.kept and not is_kept(name):
                    continue
                prediction = kept(name, predict)
                table = score("E116", prediction, n_bootstrap=0)
                rows.append(table.assign(cell="E116", labels=size or "all", draw=draw, model=way))
    few = pd.concat(rows)
    auroc = few[few["metric"] == "AUROC"].groupby(["model", "labels"], sort=False)["value"]
    print(auroc.agg(["mean", "std", "count"]).to_string())
    if everything:
        RESULTS.mkdir(exist_ok=True)
        unseen_table.to_csv(RESULTS / "unseen.csv", index=False, float_format="%.4f")
        few.to_csv(RESULTS / "few_labels.csv", index=False, float_format="%.4f")


if __name__ == "__main__":
    main()

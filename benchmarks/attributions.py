"""Cost and correctness of attributions: time, memory, completeness errors, known biology and planted truth.

By default this prints, for E116 (the whole chromosomes 8 and 21, on which genes share neighbours as in the genome):

- seconds of integrated gradients, for own marks and with ten neighbours, beside a loop of the same forward and backward
  passes without anything else; medians of several rounds in turn;
- growth of memory with the number of genes, each in a process of its own.

With ``--all`` it trains on E116, E123 and E117, on the same data with permuted labels, and on 20,000 simulated genes.
It prints the completeness errors, and writes the tests of known biology and of the planted truth to
``benchmarks/results/attributions.csv``. This takes half an hour.
"""

from __future__ import annotations

import argparse
import logging
import resource
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from _runs import CELL_TYPES, RESULTS, load
from sklearn.metrics import roc_auc_score

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad

CHROMOSOMES = ["chr8", "chr21"]
N_STEPS = 50
N_ROUNDS = 5
QUICK = {"latent_epochs": 1, "expression_epochs": 1, "context_epochs": 1, "progress": False}


def load_with_graph(cell_type: str) -> ad.AnnData:
    adata = load((cell_type,), "TSS + body").copy()
    sct.pp.tss_neighbors(adata)
    return adata


def run_passes(net: torch.nn.Module, x: torch.Tensor, batch_size: int) -> None:
    """Run the forward and backward passes that integrated gradients need, and nothing else."""
    for chunk in x.split(batch_size):
        total = torch.zeros_like(chunk)
        for alpha in np.linspace(0, 1, N_STEPS):
            at = (float(alpha) * chunk).requires_grad_()
            total += torch.autograd.grad(net(at).logit.sum(), at)[0]


def attribute_again(model: sct.SimpleChrome, adata: ad.AnnData, genes: np.ndarray) -> None:
    """Attribute genes, whatever an earlier round has stored."""
    adata.uns.pop("attribution", None)
    sct.tl.attribute(adata, model, genes=genes, n_steps=N_STEPS, progress=False)


def measure_speed() -> None:
    """Print the seconds of attributions beside those of the passes that they need."""
    adata = load_with_graph("E116")
    genes = adata.obs["chrom"].isin(CHROMOSOMES).to_numpy()
    models = {}
    for name, key in (("own marks", None), ("own marks and neighbours", "tss")):
        models[name] = sct.SimpleChrome(adata, neighbors_key=key)
        models[name].train(**QUICK)
    net = models["own marks"].module.networks[0].eval()
    x = models["own marks"].read(adata).x[torch.as_tensor(genes)]
    jobs = {"passes alone": lambda: run_passes(net, x, 512)}
    for name, model in models.items():
        jobs[name] = lambda model=model: attribute_again(model, adata, genes)
    seconds = {name: [] for name in jobs}
    for _ in range(N_ROUNDS):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(
        f"E116, {int(genes.sum())} genes x {adata.n_vars} columns, {N_STEPS} steps, {torch.get_num_threads()} threads"
    )
    for name, median in medians.items():
        print(
            f"{name}: {median:.1f} s (median of {N_ROUNDS}), {median / medians['passes alone']:.2f} x the passes alone"
        )


def measure_memory(n_genes: int) -> None:
    """Print by how much the peak of memory grows for ``n_genes``; needs a process of its own."""
    adata = load_with_graph("E116")
    model = sct.SimpleChrome(adata, neighbors_key="tss")
    model.train(**QUICK)
    logging.disable(logging.WARNING)  # of two steps, which give no good integral
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sct.tl.attribute(adata, model, genes=adata.obs_names[:n_genes], n_steps=2, progress=False)
    print(f"{n_genes} genes: {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MB more")


def check_known_biology() -> list[pd.DataFrame]:
    """Test known biology in three cell types, with measured labels and with permuted ones as a control."""
    tables = []
    for cell_type in CELL_TYPES:
        for labels in ("measured", "permuted"):
            adata = load_with_graph(cell_type)
            if labels == "permuted":
                order = np.random.default_rng(0).permutation(adata.n_obs)
                for column in ("label", "expression"):
                    adata.obs[column] = pd.Series(adata.obs[column].iloc[order].array, index=adata.obs_names)
            model = sct.SimpleChrome(adata, neighbors_key="tss")
            model.train(progress=False)
            genes = adata.obs["chrom"].isin(CHROMOSOMES)
            sct.tl.attribute(adata, model, genes=genes, n_steps=N_STEPS, progress=False)
            error = adata.obs["attribution_error"].dropna()
            print(f"{cell_type}, {labels} labels: error {error.median():.1e}, 99 % {error.quantile(0.99):.1e}")
            sct.tl.check_biology(adata, model)
            table = adata.uns["check_biology"]
            print(table.drop(columns="reason").to_string(), flush=True)
            tables.append(table.assign(cell=cell_type, labels=labels))
    return tables


def check_planted_truth() -> pd.DataFrame:
    """Test whether attributions recover the effects that were planted in 20,000 simulated genes."""
    adata = sct.datasets.simulate(20_000)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    sct.pp.tss_neighbors(adata, n_neighbors=5)
    model = sct.SimpleChrome(adata, neighbors_key="tss", n_models=2)
    model.train(progress=False)
    genes = adata.obs["chrom"].isin(CHROMOSOMES)
    sct.tl.attribute(adata, model, genes=genes, target="log_expression", n_steps=N_STEPS // 2, progress=False)
    sct.tl.check_attributions(adata, model, n_genes=int(genes.sum()))
    verdicts = adata.uns["check_attributions"]["verdicts"]
    print(verdicts.to_string(), flush=True)
    return verdicts.assign(cell="simulated", labels="measured")


def check_related_genes(n_genes: int = 12_000) -> None:
    """Print how well attributions rank related genes that act, anywhere in the genome, beside the graph's weight."""
    adata = sct.datasets.simulate(n_genes, n_related=10, neighbor_fraction=0.0)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    model = sct.SimpleChrome(adata, neighbors_key="related")
    model.train(progress=False)
    genes = adata.obs["chrom"].isin([*CHROMOSOMES, "chr1"]).to_numpy()
    sct.tl.attribute(adata, model, genes=genes, target="log_expression", n_steps=N_STEPS // 2, progress=False)
    for name, slot in (("attribution", "attribution_neighbors"), ("weight alone", "related_connectivities")):
        print(f"related genes that act, AUROC of the {name}: {rank_related(adata, genes, slot):.3f}", flush=True)


def rank_related(adata: ad.AnnData, genes: np.ndarray, slot: str) -> float:
    """Rank pairs whose related gene has more of the acting mark than the mean gene, as the check of the truth does."""
    pairs = adata.obsp["related_connectivities"].tocoo()
    truth = adata.uns["simulate"]["neighbor"]
    columns = ((adata.var["mark"] == truth["mark"]) & (adata.var["planted_effect"] != 0)).to_numpy()
    has_mark = np.log1p(adata.layers["signal"][:, columns]).mean(axis=1) > truth["center"]
    kept = genes[pairs.row] & has_mark[pairs.col]
    acts, size = (
        np.abs(np.asarray(adata.obsp[name].tocsr()[pairs.row[kept], pairs.col[kept]]).ravel())
        for name in ("planted_neighbor_effects", slot)
    )
    return float(roc_auc_score(acts > 0, size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="train, and test biology and planted truth")
    parser.add_argument("--memory", type=int, metavar="GENES", help="measure only the memory, for this number of genes")
    parser.add_argument("--related", action="store_true", help="train on simulated related genes, and rank them")
    options = parser.parse_args()
    if options.related:
        check_related_genes()
        return
    if options.memory:
        measure_memory(options.memory)
        return
    if options.all:
        RESULTS.mkdir(exist_ok=True)
        pd.concat([check_planted_truth(), *check_known_biology()]).to_csv(
            RESULTS / "attributions.csv", index=False, float_format="%.4g"
        )
        return
    measure_speed()
    for n_genes in (1_000, 4_000, 16_000):
        subprocess.run([sys.executable, __file__, "--memory", str(n_genes)], check=True)


if __name__ == "__main__":
    main()

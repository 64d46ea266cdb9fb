"""What attributions cost and whether they are right: time and memory beside the bare passes, errors, planted truth.

Prints, on real E116 data (chromosomes 8 and 21, whole, so that neighbours are shared as they are genome-wide):

- seconds of integrated gradients (own marks; with ten neighbours) beside a bare loop of the same forward and backward
  passes, medians of several rounds side by side;
- growth of memory with the number of genes, in processes of their own;
- completeness errors.

``--all`` trains on E116, E123 and E117, on permuted labels, and on 20,000 simulated genes instead, and writes what is
known of biology, with measured and with permuted labels, and the recovery of the planted truth to
``benchmarks/results/attributions.csv``; it takes half an hour.
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
from _runs import RESULTS, load

import simplechrome_tk as sct

if TYPE_CHECKING:
    import anndata as ad

CHROMOSOMES = ["chr8", "chr21"]
N_STEPS = 50
N_ROUNDS = 5
QUICK = {"latent_epochs": 1, "expression_epochs": 1, "neighbor_epochs": 1, "progress": False}


def connected(cell: str) -> ad.AnnData:
    adata = load((cell,), "TSS + body").copy()
    sct.pp.tss_neighbors(adata)
    return adata


def bare(net: torch.nn.Module, x: torch.Tensor, batch_size: int) -> None:
    """Run the forward and backward passes that integrated gradients need, and nothing else."""
    for chunk in x.split(batch_size):
        total = torch.zeros_like(chunk)
        for alpha in np.linspace(0, 1, N_STEPS):
            at = (float(alpha) * chunk).requires_grad_()
            total += torch.autograd.grad(net(at).logit.sum(), at)[0]


def explain(model: sct.SimpleChrome, adata: ad.AnnData, genes: np.ndarray) -> None:
    """Attribute anew, whatever an earlier round has left."""
    adata.uns.pop("attribution", None)
    sct.tl.attribute(adata, model, genes=genes, n_steps=N_STEPS, progress=False)


def speed() -> None:
    adata = connected("E116")
    genes = adata.obs["chrom"].isin(CHROMOSOMES).to_numpy()
    models = {}
    for name, key in (("own marks", None), ("own marks and neighbours", "tss")):
        models[name] = sct.SimpleChrome(adata, neighbors_key=key)
        models[name].train(**QUICK)
    net = models["own marks"].module.networks[0].eval()
    x = models["own marks"].read(adata).x[torch.as_tensor(genes)]
    jobs = {"bare passes": lambda: bare(net, x, 512)}
    for name, model in models.items():
        jobs[name] = lambda model=model: explain(model, adata, genes)
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
        print(f"{name}: {median:.1f} s (median of {N_ROUNDS}), {median / medians['bare passes']:.2f} x the bare passes")


def memory(n_genes: int) -> None:
    """Print the growth of peak memory while ``n_genes`` are explained; for a process of its own."""
    adata = connected("E116")
    model = sct.SimpleChrome(adata, neighbors_key="tss")
    model.train(**QUICK)
    logging.disable(logging.WARNING)  # two steps are no integral
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sct.tl.attribute(adata, model, genes=adata.obs_names[:n_genes], n_steps=2, progress=False)
    print(f"{n_genes} genes: {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f} MB more")


def truth() -> list[pd.DataFrame]:
    """Ask for known biology in three cell types, and for less of it after permuting labels."""
    tables = []
    for cell in sct.datasets.CELL_TYPES:
        for labels in ("measured", "permuted"):
            adata = connected(cell)
            if labels == "permuted":
                order = np.random.default_rng(0).permutation(adata.n_obs)
                for column in ("label", "expression"):
                    adata.obs[column] = pd.Series(adata.obs[column].iloc[order].array, index=adata.obs_names)
            model = sct.SimpleChrome(adata, neighbors_key="tss")
            model.train(progress=False)
            genes = adata.obs["chrom"].isin(CHROMOSOMES)
            sct.tl.attribute(adata, model, genes=genes, n_steps=N_STEPS, progress=False)
            error = adata.obs["attribution_error"].dropna()
            print(f"{cell}, {labels} labels: completeness error {error.median():.1e}, 99 % {error.quantile(0.99):.1e}")
            sct.tl.check_biology(adata, model)
            table = adata.uns["check_biology"]
            print(table.drop(columns="reason").to_string(), flush=True)
            tables.append(table.assign(cell=cell, labels=labels))
    return tables


def planted() -> pd.DataFrame:
    """Recover what was planted in 20,000 simulated genes."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="train, and ask for biology and planted truth")
    parser.add_argument("--memory", type=int, metavar="GENES", help="only the memory of so many genes")
    options = parser.parse_args()
    if options.memory:
        memory(options.memory)
        return
    if options.all:
        RESULTS.mkdir(exist_ok=True)
        pd.concat([planted(), *truth()]).to_csv(RESULTS / "attributions.csv", index=False, float_format="%.4g")
        return
    speed()
    for n_genes in (1_000, 4_000, 16_000):
        subprocess.run([sys.executable, __file__, "--memory", str(n_genes)], check=True)


if __name__ == "__main__":
    main()

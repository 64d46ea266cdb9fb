"""Seconds for training, latents, attributions, neighbours and UMAP on CUDA, compared with the CPU.

The numbers are medians of several runs after a first one. The last rows time one training step as it is and compiled
with CUDA graphs (``torch.compile(mode="reduce-overhead")``), because with batches of 256 genes the launch of kernels
may take longer than their work. The script writes ``benchmarks/results/gpu.csv``, and stops with a message where there
is no CUDA. ``--device cpu`` runs the same code on the CPU, to try the script.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import time
from typing import TYPE_CHECKING

import pandas as pd
import torch
from _runs import RESULTS

import simplechrome_tk as sct
from simplechrome_tk.nn._loss import Targets, expression_loss, latent_loss
from simplechrome_tk.tl.latent._embed import neighbors_and_umap
from simplechrome_tk.tl.latent._exact_neighbors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    import anndata as ad

N_GENES, N_ATTRIBUTED, BATCH, RUNS = 20_000, 500, 256, 3
STEPS = 50


def median_seconds(work: Callable[[], object], runs: int) -> float:
    """Return the median of ``runs`` after a first one; all work ends on the CPU, so that no kernel is still running."""
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def measure(adata: ad.AnnData, device: str, runs: int, n_attributed: int) -> dict[str, float]:
    model = sct.SimpleChrome(adata, device=device)
    training = {"latent_epochs": 1, "expression_epochs": 1, "progress": False}
    seconds = {"training, 1 + 1 epochs": median_seconds(lambda: model.train(**training), runs)}
    seconds["latents"] = median_seconds(model.get_latent_representation, runs)
    genes = adata.obs_names[:n_attributed].to_list()

    def attribute() -> None:
        sct.tl.attribute(adata[genes].copy(), model, progress=False)

    seconds[f"attributions of {n_attributed} genes, 50 steps"] = median_seconds(attribute, runs)
    latents = model.get_latent_representation()
    seconds["15 nearest neighbours"] = median_seconds(lambda: nearest(latents, None, 15, device=device), runs)
    backend = "torchdr" if device == "cuda" and importlib.util.find_spec("torchdr") else "scanpy"
    adata.obsm["X_simplechrome"] = latents

    def embed() -> None:
        neighbors_and_umap(adata, backend=backend, device=torch.device(device), n_neighbors=14, min_dist=0.5, rng=0)

    seconds[f"neighbours and UMAP ({backend})"] = median_seconds(embed, runs)
    for name, compiled in (("step", False), ("step, compiled", True)):
        seconds[f"training {name}, {BATCH} genes"] = step_seconds(model, adata, runs, compiled=compiled)
    return seconds


def step_seconds(model: sct.SimpleChrome, adata: ad.AnnData, runs: int, *, compiled: bool) -> float:
    """Return seconds of one step of phase 2 with the latent's loss."""
    net = model.module.first.train()
    x = model.read(adata).x[:BATCH]
    label = torch.as_tensor((adata.obs["label"][:BATCH] == "high").to_numpy(), device=model.device).float()
    targets = Targets(label, label)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def loss(batch: torch.Tensor) -> torch.Tensor:
        latent = net.encode(batch)
        own = latent_loss(net, batch, latent, kl_weight=None).total
        return expression_loss(net.express_own(latent.mean), targets, regression_weight=1.5) + 0.05 * own

    compute = torch.compile(loss, mode="reduce-overhead") if compiled else loss

    def steps() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            value = compute(x)
            value.backward()
            optimizer.step()
        value.item()

    taken = median_seconds(steps, runs) / STEPS
    net.eval()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: try the script without CUDA")
    parser.add_argument("--genes", type=int, default=N_GENES)
    parser.add_argument("--attributed", type=int, default=N_ATTRIBUTED)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print(f"no CUDA on this machine (torch {torch.__version__}): benchmarks/gpu.py is skipped")
        return
    adata = sct.datasets.simulate(options.genes)
    sct.pp.split_by_chromosome(adata)
    sct.pp.normalize(adata)
    adata.obs = adata.obs[["split", "label", "expression", "start", "end", "strand", "tss", "chrom"]]
    devices = ["cpu"] if options.device == "cpu" else ["cpu", "cuda"]
    columns = {device: measure(adata, device, options.runs, options.attributed) for device in devices}
    table = pd.DataFrame(
        {device: {name.split(" (")[0]: value for name, value in rows.items()} for device, rows in columns.items()}
    )
    card = torch.cuda.get_device_name() if options.device == "cuda" else "no GPU"
    threads = f"{os.cpu_count()} CPUs, {torch.get_num_threads()} threads"
    machine = f"{card}; {platform.machine()}, {threads}; torch {torch.__version__}"
    umap = {
        device: next(name for name in rows if "UMAP" in name).split("(")[1][:-1] for device, rows in columns.items()
    }
    print(f"{adata.n_obs:,} genes x {adata.n_vars} columns, median seconds of {options.runs} runs on {machine}")
    print("UMAP by", ", ".join(f"{backend} on {device}" for device, backend in umap.items()))
    if options.device == "cuda":
        table["cpu / cuda"] = table["cpu"] / table["cuda"]
    print(table.to_string(float_format="{:.4g}".format))
    if options.device == "cuda":
        RESULTS.mkdir(exist_ok=True)
        table.assign(umap=str(umap), machine=machine).to_csv(
            RESULTS / "gpu.csv", index_label="what", float_format="%.4g"
        )


if __name__ == "__main__":
    main()

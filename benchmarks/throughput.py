"""Cost of training: genes per second beside a minimal loop and the published network; time and memory on real data.

The minimal loop trains the same module on the same number of genes, in batches of the same size and with the same
losses, without averaged weights, validation and history. Figures are medians over interleaved runs on simulated data.
Then one network is trained on one cell type, and another on three, each in a process of its own.
"""

from __future__ import annotations

import statistics
import time

import torch
from _cost import of_function
from _runs import CELL_TYPES, load

import simplechrome_tk as sct
from simplechrome_tk.nn._compute import one_thread
from simplechrome_tk.nn._loss import Targets, expression_loss, latent_loss

N_GENES = 8_000
EPOCHS = 2
RUNS = 5


def train_model(model: sct.SimpleChrome) -> float:
    """Return the seconds of a training by the package."""
    start = time.perf_counter()
    model.train(latent_epochs=EPOCHS, expression_epochs=EPOCHS, progress=False)
    return time.perf_counter() - start


@one_thread()
def train_minimally(model: sct.SimpleChrome, x: torch.Tensor, targets: Targets, train: torch.Tensor) -> float:
    """Return the seconds of a training by the minimal loop."""
    net, recipe = model.module.first, sct.nn.Recipe()
    net.train()
    start = time.perf_counter()
    for genes_of_phase, supervised in ((torch.arange(len(x)), False), (train, True)):
        optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.latent.learning_rate)
        for _ in range(EPOCHS):
            order = genes_of_phase[torch.randperm(len(genes_of_phase))]
            for genes in order.split(recipe.latent.batch_size):
                latent = net.encode(x[genes])
                loss = latent_loss(net, x[genes], latent, kl_weight=None).total
                if supervised:
                    known = Targets(targets.label[genes], targets.log_expression[genes])
                    loss = loss + expression_loss(net.express_own(latent.mean), known, regression_weight=1.5)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return time.perf_counter() - start


def train_on(*cells: str) -> None:
    """Load the marks of cell types, and train with default settings."""
    model = sct.SimpleChrome(load(cells, "TSS + body", method="quantile"))
    model.train(progress=False)


def main() -> None:
    windows = [sct.pp.Window.TSS]
    adata = sct.datasets.simulate(N_GENES, windows=windows)
    sct.pp.split_by_chromosome(adata)
    paper = sct.pp.normalize(adata, method="paper", copy=True)
    sct.pp.normalize(adata)
    train = torch.from_numpy((adata.obs["split"] == "train").to_numpy().nonzero()[0])
    x = torch.from_numpy(adata.X)
    label = torch.from_numpy((adata.obs["label"] == "high").to_numpy()).float()
    targets = Targets(label, label - label.mean())
    model, published = sct.SimpleChrome(adata), sct.SimpleChrome(paper, preset="paper")
    seconds: dict[str, list[float]] = {"train": [], "minimal loop": [], "published network": []}
    for _ in range(RUNS):
        seconds["train"].append(train_model(model))
        seconds["minimal loop"].append(train_minimally(model, x, targets, train))
        start = time.perf_counter()
        published.train(latent_epochs=1, expression_epochs=1, progress=False)
        seconds["published network"].append((time.perf_counter() - start) * EPOCHS)
    genes = EPOCHS * (len(x) + len(train))
    speed = {name: genes / statistics.median(values) for name, values in seconds.items()}
    print(f"{N_GENES} genes x {adata.n_vars} columns, {torch.get_num_threads()} threads, median of {RUNS} runs")
    for name, value in speed.items():
        print(f"{name:<20} {value:8,.0f} genes/s")
    print(f"train / minimal loop       {speed['train'] / speed['minimal loop']:.2f}  (at least 0.8)")
    print(f"train / published network  {speed['train'] / speed['published network']:.1f}  (at least 10)")
    for cells, minutes in ((("E116",), 3), (CELL_TYPES, 8)):
        cost = of_function(train_on, *cells)
        what = f"{', '.join(cells)}, loaded and trained"
        print(f"{what:<36} {cost.clock / 60:.1f} min (below {minutes})  {cost.memory:.2f} GB (below 2)")


if __name__ == "__main__":
    main()

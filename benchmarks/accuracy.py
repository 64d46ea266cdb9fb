"""How well held-out chromosomes are predicted: SimpleChrome beside its peers and plain models on the same inputs.

Every model reads the same genes, those with known strand and body, with the same columns (and the gene's length where
a window reads the body), splits and labels. By default the subset that takes ten minutes: E116, two inputs. ``--all``
runs every cell type, input and split, goes on where it was stopped, and writes to ``benchmarks/results``:
``accuracy.csv``, one row per model, cell type, input, split and metric, with 95 % intervals, and ``differences.csv``,
the paired bootstrap of each model against gradient boosting.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from _runs import RESULTS, is_kept, kept, load, simplechrome

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import anndata as ad

REFERENCE = "gradient boosting"
ENSEMBLE = "SimpleChrome, 3 models"
BOTH = "SimpleChrome, mean of both"


def baseline(make: Callable[[], object]) -> Callable[[ad.AnnData], pd.DataFrame]:
    return lambda adata: sct.tl.fit_baseline(adata, make())


PLAIN = {
    "logistic / ridge regression": baseline(sct.tl.logistic_regression),
    REFERENCE: baseline(sct.tl.gradient_boosting),
}
OURS = {
    "SimpleChrome": simplechrome,
    ENSEMBLE: lambda adata: simplechrome(adata, n_models=3),
}
PEERS = {
    "PCA, 32 components + regression": baseline(sct.tl.pca_head),
    "MLP": baseline(sct.tl.mlp),
    "DeepChrome": baseline(sct.tl.deepchrome),
    "AttentiveChrome": baseline(sct.tl.attentivechrome),
}
PUBLISHED = {"SimpleChrome as published": lambda adata: simplechrome(adata, preset="paper")}
JOINT = {
    "gradient boosting, three cell types": PLAIN[REFERENCE],
    "SimpleChrome, 3 models, three cell types": OURS[ENSEMBLE],
}


class Setting(NamedTuple):
    """Data on which models are compared; ``fold`` names the chromosomes held out."""

    cell: str
    inputs: str
    fold: str = "chr1, chr8, chr21"

    def data(self) -> ad.AnnData:
        """Genes split and normalised as the setting says."""
        adata = load((self.cell,), self.inputs.removesuffix(", nine marks"), nine_marks="nine" in self.inputs)
        if self.fold == "DeepChrome's split":
            adata = raw(adata)
            sct.pp.split_deepchrome(adata)
            sct.pp.normalize(adata)
        elif self.fold.startswith("fold"):
            adata = raw(adata)
            test = FOLDS[self.fold]
            valid = FOLDS[f"fold {int(self.fold[-1]) % len(FOLDS) + 1}"]
            sct.pp.split_by_chromosome(adata, test=test, valid=valid)
            sct.pp.normalize(adata)
        return adata


def raw(adata: ad.AnnData) -> ad.AnnData:
    """Undo the normalisation, to fit its constants on other training genes."""
    adata = adata.copy()
    adata.X = adata.layers.pop("signal")
    del adata.uns["normalize"]
    return adata


CHROMOSOMES = [*(f"chr{i}" for i in range(1, 23)), "chrX", "chrY"]
FOLDS = {f"fold {i + 1}": CHROMOSOMES[i::5] for i in range(5)}


def settings(*, everything: bool) -> Iterator[tuple[Setting, dict[str, Callable[[ad.AnnData], pd.DataFrame]]]]:
    """Yield what is run, the most telling first."""
    if not everything:
        yield Setting("E116", "TSS + body"), PLAIN | {"SimpleChrome": OURS["SimpleChrome"]}
        yield Setting("E116", "TSS"), PLAIN | {"SimpleChrome": OURS["SimpleChrome"]} | PUBLISHED
        return
    one = {name: (PLAIN | OURS)[name] for name in (REFERENCE, "SimpleChrome")}
    for cell in sct.datasets.CELL_TYPES:
        yield Setting(cell, "TSS + body"), PLAIN | OURS | JOINT
    for cell in sct.datasets.CELL_TYPES:
        yield Setting(cell, "TSS"), PLAIN | OURS | (PEERS | PUBLISHED if cell == "E116" else {})
    for cell in sct.datasets.CELL_TYPES:
        yield Setting(cell, "TSS + body, nine marks"), one
    yield Setting("E116", "TSS + body + end + 50 kb"), PLAIN | OURS
    for fold in FOLDS:
        yield Setting("E116", "TSS + body", fold), one
    yield Setting("E116", "TSS", "DeepChrome's split"), PLAIN | {"SimpleChrome": OURS["SimpleChrome"]}


def run_name(setting: Setting, model: str) -> tuple[str, ...]:
    return setting.fold, "three cell types" if model in JOINT else setting.cell, setting.inputs, model


def predict(setting: Setting, model: str, fit: Callable[[ad.AnnData], pd.DataFrame]) -> pd.DataFrame:
    def fitted() -> pd.DataFrame:
        if model in PUBLISHED:
            return fit(load((setting.cell,), setting.inputs, method="paper"))
        if model in JOINT:
            return fit(load(tuple(sct.datasets.CELL_TYPES), setting.inputs, method="quantile"))
        return fit(setting.data())

    prediction = kept(run_name(setting, model), fitted)
    if model in JOINT:
        own = prediction.index.str.endswith(f":{setting.cell}")
        seconds = prediction.attrs["seconds"]
        prediction = prediction[own].set_axis(prediction.index[own].str.removesuffix(f":{setting.cell}"))
        prediction.attrs["seconds"] = seconds
    return prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every cell type, input and split; hours")
    parser.add_argument("--kept", action="store_true", help="tables of what earlier runs have kept; run nothing")
    parser.add_argument("--models", nargs="+", help="run these only, and print nothing: to share the work")
    options = parser.parse_args()
    scores, differences = [], []
    by_cell: dict[tuple[str, str], dict[str, dict[str, pd.DataFrame]]] = {}
    for setting, models in settings(everything=options.all):
        if options.models:
            for model in set(models) & set(options.models):
                predict(setting, model, models[model])
            continue
        if options.kept:
            models = {model: fit for model, fit in models.items() if is_kept(run_name(setting, model))}
            if not models:
                continue
        adata = setting.data()
        predictions = {model: predict(setting, model, fit) for model, fit in models.items()}
        both = [predictions[model] for model in (ENSEMBLE, f"{ENSEMBLE}, three cell types") if model in predictions]
        if len(both) == 2:
            predictions[BOTH] = (both[0] + both[1]) / 2
            predictions[BOTH].attrs["seconds"] = sum(prediction.attrs["seconds"] for prediction in both)
        by_cell.setdefault((setting.inputs, setting.fold), {})[setting.cell] = predictions
        for model, prediction in predictions.items():
            table = sct.tl.evaluate(adata, prediction, splits=["test"])
            scores.append(table.assign(**setting._asdict(), model=model, seconds=prediction.attrs["seconds"]))
        if REFERENCE in predictions and len(predictions) > 1:
            table = sct.tl.compare(adata, predictions, reference=REFERENCE)
            differences.append(table.assign(**setting._asdict()))
        show(scores[-len(predictions) :])
    differences += [over_cells(*key, cells) for key, cells in by_cell.items() if len(cells) > 1]
    if options.all and not options.models:
        RESULTS.mkdir(exist_ok=True)
        for name, tables in (("accuracy", scores), ("differences", differences)):
            pd.concat(tables).to_csv(RESULTS / f"{name}.csv", index=False, float_format="%.4f")


def over_cells(inputs: str, fold: str, cells: dict[str, dict[str, pd.DataFrame]]) -> pd.DataFrame:
    """Compare the mean over cell types; the same genes are drawn in each."""
    adata = load(tuple(sct.datasets.CELL_TYPES), inputs.removesuffix(", nine marks"), method="quantile")
    models = [model for model in next(iter(cells.values())) if all(model in made for made in cells.values())]
    stacked = {
        model: pd.concat(
            [made[model].rename(index=lambda gene, cell=cell: f"{gene}:{cell}") for cell, made in cells.items()]
        )
        for model in models
    }
    table = sct.tl.compare(adata, stacked, reference=REFERENCE)
    return table[table["cell_type"] == "mean"].assign(cell="mean", inputs=inputs, fold=fold)


def show(tables: Sequence[pd.DataFrame]) -> None:
    table = pd.concat(tables).query("metric in ('AUROC', 'Pearson', 'ECE')")
    table["interval"] = [f"{row.value:.4f} ({row.low:.3f}-{row.high:.3f})" for row in table.itertuples()]
    wide = table.pivot(index=["cell", "inputs", "fold", "model"], columns="metric", values="interval")
    print(wide.reindex(table["model"].unique(), level="model").to_string(), flush=True)


if __name__ == "__main__":
    main()

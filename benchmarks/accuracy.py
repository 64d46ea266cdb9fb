"""Accuracy on held-out chromosomes: SimpleChrome beside its peers and plain models on the same inputs.

Every model reads the same genes, those with known strand and body, with the same columns (and the gene's length where
a window reads the body), splits and labels. By default the subset that takes ten minutes: E116, two inputs. ``--all``
runs what the tables in ``benchmarks/results`` do not hold yet, of every cell type, input and split (hours), and adds
it to them: ``accuracy.csv``, one row per model, cell type, input, split and metric, with 95 % intervals (``seconds`` of
training and prediction; of a fine-tuned model those after the training on three cell types), and ``differences.csv``,
the paired bootstrap of each model against gradient boosting, which is fitted again to compare a new model with it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from _runs import CELL_TYPES, Table, kept, load, simplechrome, trained_on

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import anndata as ad

MEAN = "mean"
REFERENCE = "gradient boosting"
ENSEMBLE = "SimpleChrome, 3 models"
JOINT_REFERENCE = f"{REFERENCE}, three cell types"
JOINT = f"{ENSEMBLE}, three cell types"
TUNED = f"{JOINT}, fine-tuned"
BOTH = "SimpleChrome, mean of both"


def fitted(make: Callable[[], object]) -> Callable[[ad.AnnData], pd.DataFrame]:
    """Return a function that fits a comparison model and predicts the same genes."""
    return lambda adata: make().fit(adata).predict(adata)


PLAIN = {
    "logistic / ridge regression": fitted(sct.evaluation.LogisticRegression),
    REFERENCE: fitted(sct.evaluation.GradientBoosting),
}
OURS = {
    "SimpleChrome": simplechrome,
    ENSEMBLE: lambda adata: simplechrome(adata, n_models=3),
}
PEERS = {
    "PCA, 32 components + regression": fitted(sct.evaluation.PCAHead),
    "MLP": fitted(sct.evaluation.MLP),
    "DeepChrome": fitted(sct.evaluation.DeepChrome),
}
SLOW = {"AttentiveChrome": fitted(sct.evaluation.AttentiveChrome)}
PUBLISHED = "SimpleChrome as published"
THREE_CELL_TYPES = (JOINT_REFERENCE, JOINT, TUNED, BOTH)


class Setting(NamedTuple):
    """Data on which models are compared; ``fold`` names the chromosomes held out."""

    cell: str
    inputs: str
    fold: str = "chr1, chr8, chr21"

    def data(self) -> ad.AnnData:
        """Genes split and normalised as the setting says; those of all cell types for their mean."""
        inputs = self.inputs.removesuffix(", nine marks")
        if self.cell == MEAN:
            return load(CELL_TYPES, inputs, method="quantile")
        adata = load((self.cell,), inputs, nine_marks=inputs != self.inputs)
        if self.fold == "DeepChrome's split":
            adata = raw(adata)
            sct.deepchrome.split(adata)
            sct.pp.normalize(adata)
        elif self.fold in FOLDS:
            adata = raw(adata)
            valid = FOLDS[f"fold {int(self.fold[-1]) % len(FOLDS) + 1}"]
            sct.pp.split_by_chromosome(adata, test=FOLDS[self.fold], valid=valid)
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


def settings(*, everything: bool) -> Iterator[tuple[Setting, tuple[str, ...]]]:
    """Yield settings with the names of their models, the most informative first."""
    one = (REFERENCE, "SimpleChrome")
    if not everything:
        yield Setting("E116", "TSS + body"), (*PLAIN, "SimpleChrome")
        yield Setting("E116", "TSS"), (*PLAIN, "SimpleChrome", PUBLISHED)
        return
    for cell in (*CELL_TYPES, MEAN):
        yield Setting(cell, "TSS + body"), (*PLAIN, *OURS, *THREE_CELL_TYPES)
    for cell in (*CELL_TYPES, MEAN):
        yield Setting(cell, "TSS"), (*PLAIN, *OURS)
    yield Setting("E116", "TSS"), (*PEERS, PUBLISHED)
    yield Setting("E116", "TSS", "DeepChrome's split"), (*PLAIN, "SimpleChrome")
    for cell in (*CELL_TYPES, MEAN):
        yield Setting(cell, "TSS + body, nine marks"), one
    for fold in FOLDS:
        yield Setting("E116", "TSS + body", fold), one
    yield Setting("E116", "TSS + body + end + 50 kb"), (*PLAIN, *OURS)
    yield Setting("E116", "TSS"), (*SLOW,)


def predict(setting: Setting, model: str) -> pd.DataFrame:
    """Return the prediction of a model that was trained as the setting says; ``attrs`` hold the seconds it took."""
    cell, inputs, fold = setting
    if cell == MEAN:
        of_cells = {each: predict(setting._replace(cell=each), model) for each in CELL_TYPES}
        return pd.concat([made.set_axis(made.index + f":{each}") for each, made in of_cells.items()])
    if model == BOTH:
        own, joint = predict(setting, ENSEMBLE), predict(setting, JOINT)
        mean = (own + joint) / 2
        mean.attrs["seconds"] = own.attrs["seconds"] + joint.attrs["seconds"]
        return mean

    def make() -> pd.DataFrame:
        if model == PUBLISHED:
            return simplechrome(load((cell,), inputs, method="paper"), preset="paper")
        if model not in THREE_CELL_TYPES:
            return (PLAIN | OURS | PEERS | SLOW)[model](setting.data())
        adata = load(CELL_TYPES, inputs, method="quantile")
        if model == JOINT_REFERENCE:
            return PLAIN[REFERENCE](adata)
        if model == JOINT:
            return trained_on(CELL_TYPES, inputs, 3).predict(adata)
        own = adata[adata.obs["cell_type"] == cell].copy()
        return trained_on(CELL_TYPES, inputs, 3).fine_tune(own, progress=False).predict()

    learnt_on = "three cell types" if model in (JOINT_REFERENCE, JOINT) else cell
    made = kept((fold, learnt_on, inputs, model), make)
    if model not in THREE_CELL_TYPES:
        return made
    own = made[made.index.str.endswith(f":{cell}")]
    return own.set_axis(own.index.str.removesuffix(f":{cell}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="what the tables do not hold yet; hours")
    everything = parser.parse_args().all
    accuracy = Table("accuracy", "cell", "inputs", "fold", "model")
    differences = Table("differences", "cell", "inputs", "fold", "model")
    for setting, models in settings(everything=everything):
        what = setting._asdict()
        table = differences if setting.cell == MEAN else accuracy
        new = [model for model in models if not (everything and table.has(**what, model=model))]
        if not set(new) - {REFERENCE}:
            continue
        adata = setting.data()
        predictions = {model: predict(setting, model) for model in dict.fromkeys((REFERENCE, *new))}
        difference = sct.evaluation.compare(adata, predictions, reference=REFERENCE).assign(**what)
        if setting.cell == MEAN:
            difference = difference[difference["cell_type"] == MEAN]
            show(difference.rename(columns={"value": "of", "difference": "value"}), "+.4f")
        else:
            score = pd.concat(
                sct.evaluation.evaluate(adata, predictions[model], splits=["test"]).assign(
                    model=model, seconds=predictions[model].attrs["seconds"]
                )
                for model in new
            ).assign(**what)
            show(score, ".4f")
            if everything:
                accuracy.add(score)
        if everything:
            differences.add(difference)


def show(table: pd.DataFrame, form: str) -> None:
    """Print the values of a table with their intervals."""
    table = table[table["metric"].isin(["AUROC", "Pearson", "ECE"])]
    interval = [f"{row.value:{form}} ({row.low:{form}} to {row.high:{form}})" for row in table.itertuples()]
    wide = table.assign(interval=interval).pivot(
        index=["cell", "inputs", "fold", "model"], columns="metric", values="interval"
    )
    print(wide.reindex(table["model"].unique(), level="model").to_string(), flush=True)


if __name__ == "__main__":
    main()

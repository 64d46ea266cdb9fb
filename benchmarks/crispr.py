"""Attributions against experiments: which elements regulate a gene, as tested by CRISPR in K562.

SimpleChrome learns from nine marks of K562 (E123) around the TSS, in the body, and in bins of 500 bp out to 50 kb on
either side of the TSS. The tested elements that lie within 50 kb of their gene's TSS are then ranked over all genes, by

- the attribution of the bins that an element covers, summed over marks, and the fall of the predicted expression when
  all marks of the element are removed. Both keep their sign, since the regulated elements of this benchmark are those
  whose silencing lowers the expression. The size of the attribution without its sign stands beside them;
- what needs no model: 1 / distance from the TSS, the H3K27ac signal of the element (a sum over the element, as the ABC
  model counts reads), and that signal divided by the distance;
- both kinds divided by the distance;
- controls: the attribution at the position that the element of another pair has, and at the same distance on the other
  side of the TSS.

AUPRC and AUROC have 95 % intervals by bootstrap over genes, and paired differences from the distance. All genes count,
and then those whose chromosomes were not used for training. By default one network (five minutes); ``--all`` trains
three and writes ``benchmarks/results/crispr.csv`` (15 minutes).
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from _runs import Table, kept_model, load
from sklearn.metrics import average_precision_score, roc_auc_score

import simplechrome_tk as sct

if TYPE_CHECKING:
    from collections.abc import Iterator

    import anndata as ad

CELL = "E123"
INPUTS = "TSS + body + 50 kb in fine bins"
CONTEXT = "context"
REACH = 50_000
"""Greatest distance in bp of an element from the TSS."""
SHIFT = 5_000
"""bp by which elements are moved to see whether H3K27ac lies where they are said to lie."""

N_STEPS = 50
N_BOOTSTRAP = 1_000
REFERENCE = "1 / distance"
METRICS = {"AUPRC": average_precision_score, "AUROC": roc_auc_score}


class Elements(NamedTuple):
    """Positions of elements.

    Attributes
    ----------
    row
        Row of the gene in the data, ``(n_pairs,)``.
    start, end
        Ends in bp from the gene's TSS, along the gene, ``(n_pairs,)``.
    """

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def shift(self, by: int) -> Elements:
        """Return the positions moved by so many bp along the gene."""
        return Elements(self.row, self.start + by, self.end + by)

    def mirror(self) -> Elements:
        """Return the positions at the same distance on the other side of the TSS."""
        return Elements(self.row, -self.end, -self.start)

    def permute(self, rng: np.random.Generator) -> Elements:
        """Return for each gene the position of the element of another pair."""
        order = rng.permutation(len(self.row))
        return Elements(self.row, self.start[order], self.end[order])


def load_pairs(adata: ad.AnnData) -> tuple[pd.DataFrame, Elements]:
    """Return the pairs within reach whose gene is in the data, and where their elements lie by the TSS of the data.

    Elements that leave the window are left out: the TSS of the data may be another one than that of the benchmark.
    """
    near = sct.datasets.crispr_pairs().query("distance <= @REACH")
    pairs = near[near["gene_id"].isin(adata.obs_names)]
    row = adata.obs_names.get_indexer(pairs["gene_id"])
    genes = adata.obs.iloc[row]
    ends = pairs[["start_hg19", "end_hg19"]].to_numpy() - genes[["tss"]].to_numpy()
    ends = np.where(genes[["strand"]] == "-", -ends[:, ::-1], ends)
    inside = (ends[:, 0] >= -REACH) & (ends[:, 1] <= REACH)
    for what, found in (("within reach", near), ("of known genes", pairs), ("in the window", pairs[inside])):
        print(f"pairs {what}: {len(found)} of {found['gene_id'].nunique()} genes, {found['regulated'].sum()} regulated")
    elements = Elements(row[inside], *ends[inside].T)
    return pairs[inside].assign(split=genes["split"].astype(str).to_numpy()[inside]), elements


def cover(adata: ad.AnnData, elements: Elements, region: str) -> np.ndarray:
    """Return the fraction of each bin of a region that each element covers, ``(n_pairs, n_bins)``."""
    bins = bins_of(adata, region)
    left, right = bins.to_numpy().T
    start, end = elements.start, elements.end
    if region == "body":
        genes = adata.obs.iloc[elements.row]
        minus, tss = (genes["strand"] == "-").to_numpy(), genes["tss"].to_numpy()
        # The body runs from the 5' end of the gene bounds, which need not be the TSS.
        offset = np.where(minus, tss - genes["end"].to_numpy(), genes["start"].to_numpy() - tss)
        length = (genes["end"] - genes["start"]).to_numpy()
        start, end = (start - offset) / length, (end - offset) / length
    overlap = np.minimum(end[:, None], right) - np.maximum(start[:, None], left)
    return np.clip(overlap / (right - left), 0, 1)


def bins_of(adata: ad.AnnData, region: str) -> pd.DataFrame:
    """Return start and end of the bins of a region, in bp from the TSS or as fractions of the body."""
    var = adata.var[adata.var["region"] == region]
    return var[var["mark"] == var["mark"].iloc[0]][["start_bp", "end_bp"]]


def sum_effects(adata: ad.AnnData, elements: Elements) -> np.ndarray:
    """Return the attribution of the bins that each element covers, summed over regions and marks, ``(n_pairs,)``."""
    total = np.zeros(len(elements.row))
    for region in adata.var["region"].unique():
        effects = sct.get.region(adata, region, layer="attribution")[elements.row].sum(axis=1)
        total += (effects * cover(adata, elements, region)).sum(axis=1)
    return total


def sum_signal(adata: ad.AnnData, elements: Elements) -> np.ndarray:
    """Return the H3K27ac signal of each element, summed over its base pairs, ``(n_pairs,)``."""
    mark = list(adata.var["mark"].cat.categories).index("H3K27ac")
    signal = sct.get.region(adata, CONTEXT, layer="signal")[elements.row, mark]
    bins = bins_of(adata, CONTEXT)
    width = (bins["end_bp"] - bins["start_bp"]).to_numpy()
    return (signal * cover(adata, elements, CONTEXT) * width).sum(axis=1)


def remove(adata: ad.AnnData, model: sct.SimpleChrome, elements: Elements) -> np.ndarray:
    """Return by how much the predicted log expression falls when all marks of an element are removed, ``(n_pairs,)``.

    A bin that the element covers in part loses this part of its signal.
    """
    # A few genes are read much faster than all.
    rows = np.unique(elements.row)
    adata, place = adata[rows].copy(), np.searchsorted(rows, elements.row)
    covers = {
        region: (bins_of(adata, region).to_numpy(), cover(adata, elements._replace(row=place), region))
        for region in adata.var["region"].unique()
    }
    fall = []
    for number, name in enumerate(adata.obs_names[place]):
        edits = [
            sct.tl.Edit.scale(1 - covered[number, at], region=region, start=bins[at, 0], end=bins[at, 1])
            for region, (bins, covered) in covers.items()
            for at in np.flatnonzero(covered[number])
        ]
        sct.tl.perturb(adata, model, edits, genes=[name], progress=False)
        fall.append(-adata.uns["perturb"]["log_expression_change"].iloc[0])
    return np.array(fall)


def rank(adata: ad.AnnData, model: sct.SimpleChrome, pairs: pd.DataFrame, elements: Elements) -> pd.DataFrame:
    """Return the scores by which pairs are ranked, one column each."""
    genes = adata.obs_names[np.unique(elements.row)]
    sct.tl.attribute(adata, model, genes=genes, target="log_expression", n_steps=N_STEPS, progress=False)
    effect, signal = sum_effects(adata, elements), sum_signal(adata, elements)
    fall = remove(adata, model, elements)
    near = 1 / pairs["distance"].to_numpy()
    other = elements.permute(np.random.default_rng(0))
    return pd.DataFrame(
        {
            REFERENCE: near,
            "H3K27ac signal": signal,
            "H3K27ac signal / distance": signal * near,
            "attribution": effect,
            "attribution without sign": np.abs(effect),
            "attribution / distance": effect * near,
            "removal": fall,
            "removal / distance": fall * near,
            "attribution, permuted elements": sum_effects(adata, other),
            "attribution, mirrored elements": sum_effects(adata, elements.mirror()),
        },
        index=pairs.index,
    )


def score(pairs: pd.DataFrame, scores: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield AUPRC and AUROC of each ranking, with intervals over genes and differences from the distance."""
    gene, distinct = pd.factorize(pairs["gene_id"])
    drawn = np.random.default_rng(0).multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), N_BOOTSTRAP)
    truth = pairs["regulated"].to_numpy()
    for metric, function in METRICS.items():
        values = {
            name: np.array([function(truth, column, sample_weight=weights[gene]) for weights in drawn])
            for name, column in scores.items()
        }
        measured = {name: function(truth, column) for name, column in scores.items()}
        for name, resampled in values.items():
            low, high = np.quantile(resampled, [0.025, 0.975])
            difference_low, difference_high = np.quantile(resampled - values[REFERENCE], [0.025, 0.975])
            yield {
                "ranking": name,
                "metric": metric,
                "value": measured[name],
                "low": low,
                "high": high,
                "difference": measured[name] - measured[REFERENCE],
                "difference_low": difference_low,
                "difference_high": difference_high,
                "n": len(pairs),
                "regulated": int(truth.sum()),
                "genes": len(distinct),
            }


def show_positions(adata: ad.AnnData, pairs: pd.DataFrame, elements: Elements) -> None:
    """Print the H3K27ac signal at regulated elements, and beside them, which tells whether they are placed rightly."""
    places = {
        "at the elements": elements,
        f"{SHIFT} bp upstream": elements.shift(-SHIFT),
        f"{SHIFT} bp downstream": elements.shift(SHIFT),
        "on the other side of the TSS": elements.mirror(),
    }
    length = elements.end - elements.start
    for what, at in places.items():
        signal = (sum_signal(adata, at) / length)[pairs["regulated"]]
        present = (signal > 0).mean()
        print(f"H3K27ac signal of regulated elements {what}: mean {signal.mean():.2f}, present in {present:.0%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="three networks, and write the table")
    everything = parser.parse_args().all
    n_models = 3 if everything else 1
    adata = load((CELL,), INPUTS, nine_marks=True)
    pairs, elements = load_pairs(adata)
    show_positions(adata, pairs, elements)
    model = kept_model((f"{INPUTS}, nine marks", CELL, str(n_models)), lambda: adata, n_models=n_models)
    accuracy = sct.evaluation.evaluate(adata, model.predict(adata), splits=["test"])
    print(accuracy.to_string(), flush=True)
    scores = rank(adata, model, pairs, elements)
    error = adata.obs["attribution_error"].dropna()
    print(f"completeness error of attributions: {error.median():.1e}, 99 % {error.quantile(0.99):.1e}")
    unseen = (pairs["split"] != "train").to_numpy()
    sets = {"all genes": np.ones(len(pairs), bool), "genes outside the training chromosomes": unseen}
    tables = [pd.DataFrame(score(pairs[of], scores[of])).assign(pairs=name) for name, of in sets.items()]
    expression = accuracy[accuracy["metric"].isin(["AUROC", "Pearson"])][["metric", "value", "low", "high", "n"]]
    tables.append(expression.assign(pairs="none: expression of test genes", ranking=f"SimpleChrome, {n_models} models"))
    result = pd.concat(tables)
    result[["regulated", "genes"]] = result[["regulated", "genes"]].astype("Int64")
    result = result[["pairs", "ranking", *result.columns.drop(["pairs", "ranking"])]]
    print(result.to_string(index=False, float_format="%.3f"))
    if everything:
        Table("crispr", "pairs", "ranking").add(result)


if __name__ == "__main__":
    main()

"""Genes of an annotation and their expression, matched by id."""

from __future__ import annotations

import anndata as ad
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.pp._label import label_expression


def find_unmatched(genes: pd.DataFrame, values: pd.Series, source: str) -> dict[str, list[str]]:
    """Return the ids that only the genes or only the expression values have; raise when they share none."""
    in_genes, in_values = pd.Index(genes["gene_id"].unique()), values.index
    if not in_values.isin(in_genes).any():
        fix = "Use ids of the same kind"
        if n := int(in_values.isin(genes[k.SYMBOL]).sum()):
            fix = (
                f"{n} of its ids are symbols of these genes: set genes = sct.io.read_annotation(...), pass "
                "genes.set_index('symbol', drop=False) as annotation"
            )
        msg = (
            f"{source}: none of {len(in_values)} ids is among the {len(in_genes)} genes of the annotation (expression: "
            f"{in_values[0]!r}; annotation: {in_genes[0]!r}). {fix}."
        )
        raise ValueError(msg)
    return {
        "genes_without_expression": in_genes[~in_genes.isin(in_values)].tolist(),
        "expression_without_gene": in_values[~in_values.isin(in_genes)].tolist(),
    }


def add_expression(obs: pd.DataFrame, values: pd.Series, source: str) -> tuple[pd.DataFrame, dict[str, object]]:
    """Return ``obs`` with expression and label, and the record of the labels; a gene with several TSS counts once."""
    obs = obs.assign(**{k.EXPRESSION: obs["gene_id"].map(values).astype(float)})
    found = obs.drop_duplicates("gene_id")[k.EXPRESSION]
    median = found.median()
    if not (found > median).any():
        what = f"and half of them the largest, {median:g}"
        if found.nunique() == 1:
            what = f"all of them {median:g}"
        msg = (
            f"{source}: {int(found.notna().sum())} of {len(found)} genes of the annotation have a value in column "
            f"{values.name!r}, {what}; expected some above the median, which are labelled high. Choose another column "
            "with column=, check which ids match, or leave expression out."
        )
        raise ValueError(msg)
    columns = [column for column in (k.EXPRESSION, k.CELL_TYPE) if column in obs]
    genes = ad.AnnData(obs=obs.drop_duplicates("gene_id").set_index("gene_id")[columns].rename_axis(None))
    label_expression(genes)
    label = genes.obs[k.LABEL].loc[obs["gene_id"]].to_numpy()
    return obs.assign(**{k.LABEL: pd.Categorical(label, categories=k.LABELS, ordered=True)}), dict(genes.uns)

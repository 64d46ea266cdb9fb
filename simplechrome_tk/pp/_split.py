"""Splits of genes into training, validation and test."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import chromosomes, gene_ids
from simplechrome_tk.core.shorten import shorten
from simplechrome_tk.core.write import to_change, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    import anndata as ad

logger = logging.getLogger(__name__)

TEST_CHROMOSOMES = ("chr1", "chr8", "chr21")
"""Chromosomes of the test split, 15 % of the genes: fixed, so that results of this project can be compared."""

VALID_CHROMOSOMES = ("chr2", "chr9")
"""Chromosomes of the validation split, 10 % of the genes."""


def split_by_chromosome(
    adata: ad.AnnData,
    *,
    test: Sequence[str] = TEST_CHROMOSOMES,
    valid: Sequence[str] = VALID_CHROMOSOMES,
    key_added: str = k.SPLIT,
    copy: bool = False,
) -> ad.AnnData | None:
    """Split genes by chromosome, so that no test gene lies in the window of a training gene.

    Parameters
    ----------
    adata
        Genes with ``obs["chrom"]``.
    test, valid
        Chromosomes of the test and of the validation split. The validation split is for choosing settings, the test
        split for the final result.
    key_added
        Column of ``obs`` to write.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obs[key_added]`` (``train``, ``valid``, ``test``) and
        ``uns["split"]``.

    Raises
    ------
    ValueError
        When a gene has no chromosome, a chromosome is in both lists or not in the data, or a split has no genes.
    """
    adata = to_change(adata, copy=copy)
    chrom = chromosomes(adata, fix="store each gene's chromosome there")
    if both := set(test) & set(valid):
        msg = f"{shorten(sorted(both))} is in both test and valid; expected different chromosomes."
        raise ValueError(msg)
    present = set(chrom)
    if absent := [name for name in (*test, *valid) if name not in present]:
        msg = (
            f"no gene lies on {shorten(absent)}; chromosomes here: {shorten(sorted(present), limit=30)}. "
            "Name others with test= and valid=, or rename obs['chrom']."
        )
        raise ValueError(msg)
    split = np.where(chrom.isin(test), "test", np.where(chrom.isin(valid), "valid", "train"))
    write_split(adata, split, key_added, {"method": "chromosome", "test": list(test), "valid": list(valid)})
    return adata if copy else None


def split_random(
    adata: ad.AnnData,
    *,
    test: float = 0.2,
    valid: float = 0.1,
    rng: np.random.Generator | int | None = 0,
    key_added: str = k.SPLIT,
    copy: bool = False,
) -> ad.AnnData | None:
    """Split genes at random, as in the SimpleChrome publication.

    Neighbouring genes share chromatin (30 % of genes have another TSS within 10 kb), so that information about test
    genes leaks into training, and results on them are too good. Use this only for comparison, and otherwise
    :func:`split_by_chromosome`. A gene of several cell types has the same split in all of them.

    Parameters
    ----------
    adata
        Genes.
    test, valid
        Fractions of the genes in the test and validation split.
    rng
        Seed or generator of the random split.
    key_added
        Column of ``obs`` to write.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obs[key_added]`` and ``uns["split"]``.

    Raises
    ------
    ValueError
        When a fraction is negative, or the fractions leave a split without genes.
    """
    if min(test, valid) < 0 or test + valid > 1:
        msg = f"test={test} and valid={valid}; expected fractions of the genes, from 0, with a sum of at most 1."
        raise ValueError(msg)
    adata = to_change(adata, copy=copy)
    ids = gene_ids(adata)
    genes = ids.unique()
    n_test, n_valid = round(test * len(genes)), round(valid * len(genes))
    order = np.random.default_rng(rng).permutation(len(genes))
    named = pd.Series("train", index=genes[order])
    named.iloc[:n_test] = "test"
    named.iloc[n_test : n_test + n_valid] = "valid"
    write_split(
        adata,
        named[ids].to_numpy(),
        key_added,
        {"method": "random", "test": test, "valid": valid},
    )
    return adata if copy else None


def write_split(adata: ad.AnnData, split: np.ndarray, key: str, record: dict[str, object]) -> None:
    """Write a split ``(n_genes,)`` to ``obs[key]`` with its record; raise when a split has no genes."""
    counts = {name: int((split == name).sum()) for name in k.SPLITS}
    if empty := [name for name, count in counts.items() if not count]:
        msg = (
            f"no genes in {', '.join(empty)}: {adata.n_obs} genes split into {counts}. Give that split a larger part, "
            "or use more genes."
        )
        raise ValueError(msg)
    held = pd.Categorical(split, categories=k.SPLITS)
    write_whole(adata, [("obs", key, held)], records={k.SPLIT: {**record, "counts": counts}})
    logger.info("obs[%r]: %s", key, ", ".join(f"{count} {name}" for name, count in counts.items()))

"""Splits of genes into training, validation and test."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from simplechrome_tk.core import keys as k
from simplechrome_tk.core.require import chromosomes, gene_ids, obs_column
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
    _check_fractions(test, valid)
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


def split_by_family(
    adata: ad.AnnData,
    *,
    test: float = 0.15,
    valid: float = 0.1,
    rng: np.random.Generator | int | None = 0,
    key_added: str = k.SPLIT,
    copy: bool = False,
) -> ad.AnnData | None:
    """Split genes by family, so that no test gene shares the beginning of its symbol with a training gene.

    Genes of one family have similar sequences, functions and expression, wherever they lie. The family of a gene is the
    letters that its symbol begins with, in capitals: ``ZNF12`` and ``ZNF705A`` belong to ``ZNF``, ``HOXA1`` to
    ``HOXA``, ``KRTAP5-1`` to ``KRTAP``, ``HLA-A`` to ``HLA``. A gene without a symbol, or with one that does not begin
    with a letter, is a family of its own. These names are a rough guide: genes with similar sequences may have
    different symbols (``ACTB`` and ``ACTA1``), and genes that share letters need not be related (``C1orf43`` and
    ``C1QA``), which does no harm.

    Neighbouring genes are not kept together, and share chromatin, as in :func:`split_random`. Compare the scores with
    those of :func:`split_by_chromosome`, which keeps neighbours together and not families.

    Parameters
    ----------
    adata
        Genes with ``obs["symbol"]``. Genes with the same id, in several cell types, have the same split.
    test, valid
        Fractions of the genes in the test and validation split; the defaults are about those of
        :func:`split_by_chromosome`.
    rng
        Seed or generator of the order in which families are drawn.
    key_added
        Column of ``obs`` to write.
    copy
        Return a changed copy and leave ``adata`` as it is.

    Returns
    -------
    anndata.AnnData | None
        The copy when ``copy=True``. Writes ``obs[key_added]`` (``train``, ``valid``, ``test``) and ``uns["split"]``,
        with the number of families and the size of the largest.

    Raises
    ------
    ValueError
        When there are no symbols, a fraction is negative, or the fractions leave a split without genes.

    Notes
    -----
    Families are drawn one after the other. A family joins the test split where it fits into what is left of its size,
    otherwise the validation split in the same way, otherwise the training split, so that splits have the wanted sizes
    or just below. A family that is larger than both is always in the training split.

    Examples
    --------
    >>> adata.obs["symbol"] = [f"{'ABCDEFGHIJ'[i % 10]}{i}" for i in range(adata.n_obs)]
    >>> sct.pp.split_by_family(adata, test=0.2, valid=0.1)
    >>> adata.obs["symbol"].str[0].groupby(adata.obs["split"], observed=True).nunique().to_dict()
    {'train': 7, 'valid': 1, 'test': 2}
    """
    _check_fractions(test, valid)
    adata = to_change(adata, copy=copy)
    ids = gene_ids(adata)
    family, n_alone = _find_families(adata, ids)
    sizes = family.value_counts().sort_index()
    order = sizes.iloc[np.random.default_rng(rng).permutation(len(sizes))]
    left = {"test": round(test * len(family)), "valid": round(valid * len(family))}
    chosen = {}
    for name, size in order.items():
        chosen[name] = next((split for split, room in left.items() if size <= room), "train")
        if chosen[name] in left:
            left[chosen[name]] -= size
    record = {
        "method": "family",
        "test": test,
        "valid": valid,
        "n_families": len(sizes),
        "largest_family": str(sizes.idxmax()).removeprefix(":"),
        "largest_size": int(sizes.max()),
    }
    write_split(adata, family.map(chosen)[ids].to_numpy(), key_added, record)
    logger.info(
        "%d genes in %d families, the largest %s with %d; %d genes without a symbol are families of their own.",
        len(family),
        len(sizes),
        record["largest_family"],
        record["largest_size"],
        n_alone,
    )
    return adata if copy else None


def _find_families(adata: ad.AnnData, ids: pd.Index) -> tuple[pd.Series, int]:
    """Return the family of each gene, indexed by id, each once, and the number of genes that are alone in theirs."""
    symbol = obs_column(adata, k.SYMBOL, fix="store each gene's symbol there, or split with sct.pp.split_by_chromosome")
    known = symbol.astype(object).where(symbol.notna() & (symbol != "NA"), "").astype(str)
    stem = known.str.extract(r"^([A-Za-z]+)", expand=False).str.upper().fillna("")
    family = pd.Series(stem.to_numpy(object), index=ids)
    family = family[~family.index.duplicated()]
    # No stem begins with the mark that is put before an id.
    alone = (family == "").to_numpy()
    family[alone] = ":" + family.index[alone]
    return family, int(alone.sum())


def _check_fractions(test: float, valid: float) -> None:
    """Raise ``ValueError`` unless both are fractions with a sum of at most 1."""
    if min(test, valid) < 0 or test + valid > 1:
        msg = f"test={test} and valid={valid}; expected fractions of the genes, from 0, with a sum of at most 1."
        raise ValueError(msg)


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

"""Public table of expression in reference samples."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from simplechrome_tk.io._public import fetch, registry

logger = logging.getLogger(__name__)

_TABLE = "shallowchrome/targets/{}/T.csv"


def read_public_reference() -> pd.DataFrame:
    """Return :func:`simplechrome_tk.datasets.reference_expression`, which documents the table."""
    names = pd.read_csv(fetch("shallowchrome/GeneFile.txt"), sep="\t", header=None)[3]
    # Names are written as id_symbol.
    ids = pd.Index(names.str.split("_", n=1).str[0], name=None)
    prefix, suffix = _TABLE.split("{}")
    samples = sorted(path[len(prefix) : -len(suffix)] for path in registry() if path.startswith(prefix))
    table = pd.DataFrame({name: np.log10(np.loadtxt(fetch(_TABLE.format(name))) + 0.1) for name in samples}, index=ids)
    repeated = table.index.duplicated()
    logger.info("%d rows of the public table repeat an Ensembl id; the first is kept.", repeated.sum())
    return table[~repeated]

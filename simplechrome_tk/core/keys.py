"""Names of the AnnData slots that this package reads and writes, in one place."""

from __future__ import annotations

from urllib.parse import unquote

# obs: one row per gene (in one cell type)
SYMBOL = "symbol"
CHROM = "chrom"
START = "start"
END = "end"
STRAND = "strand"
TSS = "tss"
ANNOTATED = "annotated"
EXPRESSION = "expression"
LABEL = "label"
SPLIT = "split"
CELL_TYPE = "cell_type"
MARKS_WITH_SIGNAL = "marks_with_signal"
BLACKLIST_OVERLAP = "blacklist_overlap"

# var: one row per bin of one mark in one region
MARK = "mark"
REGION = "region"
BIN = "bin"
START_BP = "start_bp"
END_BP = "end_bp"

# layers
SIGNAL = "signal"

# uns: the record of each step
NORMALIZE = "normalize"
WINDOWS = "windows"

# uns: what is measured, in which unit, as axes and titles name it; keys are SIGNAL and EXPRESSION
UNITS = "units"

# obsm
LATENT = "X_simplechrome"
UMAP = "X_umap"

# obs and uns of the latent space; scanpy's names where scanpy writes them
LEIDEN = "leiden"
STATE = "state"
MARK_PRESENCE = "mark_presence"
PLACED_FAR = "placed_far"
EMBED = "embed"

# obsp: a graph `name` is stored as a pair
CONNECTIVITIES = "{}_connectivities"
DISTANCES = "{}_distances"

# attributions `name`: `layers[name]`, `uns[name]`, and these
ATTRIBUTION = "attribution"
NEIGHBOR_EFFECTS = "{}_neighbors"  # obsp: row gene, column neighbour
TOTAL_EFFECT = "{}_total"  # obs: prediction less that of the baseline
COMPLETENESS_ERROR = "{}_error"  # obs: what the effects miss of it, as a fraction
INPUT_FINGERPRINT = "{}_inputs"  # obs: fingerprint of what the networks read of a gene and its neighbours
INTERACTIONS = "{}_interactions"  # obsm: a column for each pair of marks

# columns of predictions
PROBABILITY = "probability"
LOG_EXPRESSION = "log_expression"

# values
SPLITS = ("train", "valid", "test")
LABELS = ("low", "high")
UNKNOWN_STRAND = "."


def as_column(name: str) -> str:
    """Return a mark's name as the name of a column in ``obsm``, which files can hold: ``/`` is written as ``%2F``.

    HDF5 and zarr take a slash for a folder, and neither stores an empty name or one of dots alone. A per cent sign is
    written as ``%25``, so that :func:`from_column` always finds the name again; other names stay as they are.
    """
    if not name.strip("."):
        return name.replace(".", "%2E") or "%"
    return name.replace("%", "%25").replace("/", "%2F")


def from_column(column: str) -> str:
    """Return the name of which ``column`` is :func:`as_column`."""
    return "" if column == "%" else unquote(column)

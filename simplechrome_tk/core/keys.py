"""Names of the AnnData slots that this package reads and writes."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

# obs: one row per gene (in one cell type or sample)
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
SAMPLE = "sample"
CONDITION = "condition"
REPLICATE = "replicate"
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

# uns: the windows that were binned, and the unit of the signal and of the expression as plots name it
WINDOWS = "windows"
UNITS = "units"

# uns: the record of each step of preparation; that of a split has the name of the column, SPLIT
FROM_TRACKS = "from_tracks"
SAMPLE_SHEET = "sample_sheet"
SCALE_SAMPLES = "scale_samples"
READS = "reads"
SUBTRACT_CONTROL = "subtract_control"
QC = "qc"
LABEL_EXPRESSION = "label_expression"
NORMALIZE = "normalize"
GRAPH_RECORD = "{}_neighbors"  # of the graph `name`

# uns: where a dataset comes from
DATASET = "dataset"
ROADMAP = "roadmap"
SIMULATE = "simulate"
DEEPCHROME = "deepchrome"
DEEPDIFF = "deepdiff"

# the latent space: the key of the map that sct.tl.embed makes (see MapKeys), and what is made from it
EMBEDDING = "simplechrome"
LATENT = "X_simplechrome"
STATE = "state"
MARK_PRESENCE = "mark_presence"
PLACED_FAR = "placed_far"

# uns: tables that the tools store
TRAVERSE = "traverse"
LATENT_DIMENSIONS = "latent_dimensions"
LATENT_QUALITY = "latent_quality"
MIXING = "mixing"
RECONSTRUCTION = "reconstruction"

# uns: what sct.tl.embed adds to the record of the neighbour graph, such as the digest of the model
EMBED = "embed"

# obsm: log expression in reference samples, whose names are in `uns` under the same key
REFERENCE_EXPRESSION = "reference_expression"

# the graph of co-expressed genes
COEXPRESSION = "coexpression"

# obsp: a graph `name` is stored as a pair
CONNECTIVITIES = "{}_connectivities"
DISTANCES = "{}_distances"

# attributions `name`: `layers[name]`, `uns[name]`, and these
ATTRIBUTION = "attribution"
NEIGHBOR_EFFECTS = "{}_neighbors"  # obsp: row gene, column neighbour
REFERENCE_EFFECTS = "{}_reference"  # obsm: a column for each reference sample
TOTAL_EFFECT = "{}_total"  # obs: prediction of the gene minus prediction of the baseline
COMPLETENESS_ERROR = "{}_error"  # obs: total effect minus sum of the effects, as a fraction
INPUT_FINGERPRINT = "{}_inputs"  # obs: fingerprint of what the networks read of a gene and its neighbours
INTERACTIONS = "{}_interactions"  # obsm: a column for each pair of marks

# the contrast of two conditions: slots as those of attributions, and columns of obs
CONTRAST = "contrast"
COPY_NUMBER = "{}_copy_number"  # uns: stretches in which all marks change together

# uns: results of tools, a table or several
PERTURB = "perturb"
DOSE_RESPONSE = "dose_response"
SATURATE = "saturate"
CHECK_ATTRIBUTIONS = "check_attributions"
CHECK_BIOLOGY = "check_biology"

# obs: groups of genes that models are scored on; uns: how they were made
GENE_STRATA = "gene_strata"
TAU = "tau"
SPECIFICITY = "specificity"
EXPRESSED = "expressed"
BIVALENT = "bivalent"
NEXT_TSS = "next_tss"

# obs: genes whose marks `tl.apply_edits` has edited
EDITED = "edited"

# columns of predictions
PROBABILITY = "probability"
LOG_ODDS = "log_odds"
LOG_EXPRESSION = "log_expression"

# log expression minus the gene's mean over the reference samples
DEVIATION = "deviation"

# values
SPLITS = ("train", "valid", "test")
LABELS = ("low", "high")
UNKNOWN_STRAND = "."


class MapKeys(NamedTuple):
    """Names of the slots of one map of genes, as :func:`simplechrome_tk.tl.embed` writes them.

    Attributes
    ----------
    latent, umap
        Slots of ``obsm``: the latents, and their UMAP.
    clusters
        Column of ``obs`` with the Leiden clusters; ``uns`` holds their record under the same name.
    neighbors
        Record of the neighbour graph in ``uns``: the ``neighbors_key`` of scanpy.
    distances, connectivities
        The neighbour graph in ``obsp``.
    umap_record
        Record of the UMAP in ``uns``.
    """

    latent: str
    umap: str
    clusters: str
    neighbors: str
    distances: str
    connectivities: str
    umap_record: str

    @classmethod
    def of(cls, key: str | None) -> MapKeys:
        """Return the names for a ``key_added`` of :func:`simplechrome_tk.tl.embed`; ``None``: scanpy's default ones."""
        if key is None:
            return cls(LATENT, "X_umap", "leiden", "neighbors", "distances", "connectivities", "umap")
        umap = f"X_{key}_umap"
        return cls(f"X_{key}", umap, f"{key}_leiden", key, DISTANCES.format(key), CONNECTIVITIES.format(key), umap)

    def embed_call(self, data: str = "adata") -> str:
        """Return the call that makes this map of ``data``, for messages."""
        if self.neighbors == EMBEDDING:
            return f"sct.tl.embed({data}, model)"
        key = None if self.latent == LATENT else self.neighbors
        return f"sct.tl.embed({data}, model, key_added={key!r})"


def as_column(name: str) -> str:
    """Return the name of a mark as a column name that files can store: ``/`` is written as ``%2F``.

    HDF5 and zarr read a slash as a folder, and do not store an empty name or a name of dots alone. A per cent sign is
    written as ``%25``, so that :func:`from_column` gives the name back; other names stay as they are.
    """
    if not name.strip("."):
        return name.replace(".", "%2E") or "%"
    return name.replace("%", "%25").replace("/", "%2F")


def from_column(column: str) -> str:
    """Return the name that :func:`as_column` wrote as ``column``."""
    return "" if column == "%" else unquote(column)

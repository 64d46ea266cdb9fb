"""Preparation of data: windows, binning, quality control, labels, splits, normalisation and neighbours."""

from simplechrome_tk.core.expression import log_expression
from simplechrome_tk.core.window import Window
from simplechrome_tk.pp._bigwig import bin_bigwig
from simplechrome_tk.pp._bin import bin_peaks
from simplechrome_tk.pp._coexpression import coexpression_neighbors
from simplechrome_tk.pp._contacts import contact_neighbors
from simplechrome_tk.pp._control import subtract_control
from simplechrome_tk.pp._from_tracks import from_tracks
from simplechrome_tk.pp._gene_sets import gene_set_neighbors
from simplechrome_tk.pp._id_neighbors import id_neighbors
from simplechrome_tk.pp._label import label_expression
from simplechrome_tk.pp._neighbors import tss_neighbors
from simplechrome_tk.pp._normalize import normalize
from simplechrome_tk.pp._qc import qc
from simplechrome_tk.pp._reads import bin_reads
from simplechrome_tk.pp._reference import add_reference_expression
from simplechrome_tk.pp._sample_sheet import from_sample_sheet
from simplechrome_tk.pp._scale_samples import scale_samples
from simplechrome_tk.pp._split import (
    split_by_chromosome,
    split_by_family,
    split_random,
)
from simplechrome_tk.pp._stack import stack_cell_types
from simplechrome_tk.pp._strata import gene_strata

__all__ = [
    "Window",
    "add_reference_expression",
    "bin_bigwig",
    "bin_peaks",
    "bin_reads",
    "coexpression_neighbors",
    "contact_neighbors",
    "from_sample_sheet",
    "from_tracks",
    "gene_set_neighbors",
    "gene_strata",
    "id_neighbors",
    "label_expression",
    "log_expression",
    "normalize",
    "qc",
    "scale_samples",
    "split_by_chromosome",
    "split_by_family",
    "split_random",
    "stack_cell_types",
    "subtract_control",
    "tss_neighbors",
]

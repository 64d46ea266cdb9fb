"""Tools: attribution, perturbation, the latent space, and checks."""

from simplechrome_tk.tl.attribution import attribute, interactions
from simplechrome_tk.tl.checks import check_attributions, check_biology
from simplechrome_tk.tl.contrast import contrast
from simplechrome_tk.tl.latent import (
    embed,
    latent_dimensions,
    latent_quality,
    mixing,
    name_states,
    place,
    reconstruction,
    traverse,
)
from simplechrome_tk.tl.perturbation import Edit, apply_edits, dose_response, perturb, saturate

__all__ = [
    "Edit",
    "apply_edits",
    "attribute",
    "check_attributions",
    "check_biology",
    "contrast",
    "dose_response",
    "embed",
    "interactions",
    "latent_dimensions",
    "latent_quality",
    "mixing",
    "name_states",
    "perturb",
    "place",
    "reconstruction",
    "saturate",
    "traverse",
]

"""Tools: attribution, perturbation, the latent space, and checks."""

from simplechrome_tk.tl.attribution import attribute, interactions
from simplechrome_tk.tl.checks import AttributionChecks, check_attributions, check_biology
from simplechrome_tk.tl.latent import (
    ExactNeighbors,
    disentanglement,
    embed,
    latent_dimensions,
    latent_quality,
    mixing,
    name_states,
    place,
    placement_agreement,
    reconstruction,
    traverse,
)
from simplechrome_tk.tl.perturbation import (
    BeforeAfter,
    Edit,
    apply_edits,
    dose_response,
    perturb,
    perturb_with,
    saturate,
)

__all__ = [
    "AttributionChecks",
    "BeforeAfter",
    "Edit",
    "ExactNeighbors",
    "apply_edits",
    "attribute",
    "check_attributions",
    "check_biology",
    "disentanglement",
    "dose_response",
    "embed",
    "interactions",
    "latent_dimensions",
    "latent_quality",
    "mixing",
    "name_states",
    "perturb",
    "perturb_with",
    "place",
    "placement_agreement",
    "reconstruction",
    "saturate",
    "traverse",
]

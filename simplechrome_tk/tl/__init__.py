"""Tools: attribution, perturbation, the latent space, and checks."""

from simplechrome_tk.tl.attribution import attribute, attribute_neighbors, explain, interactions
from simplechrome_tk.tl.checks import AttributionChecks, check_attributions, check_biology
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
    "apply_edits",
    "attribute",
    "attribute_neighbors",
    "check_attributions",
    "check_biology",
    "dose_response",
    "embed",
    "explain",
    "interactions",
    "latent_dimensions",
    "latent_quality",
    "mixing",
    "name_states",
    "perturb",
    "perturb_with",
    "place",
    "reconstruction",
    "saturate",
    "traverse",
]

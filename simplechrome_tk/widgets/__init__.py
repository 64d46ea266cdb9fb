"""Look, touch, understand: widgets for JupyterLab that call ``tl``, ``pl`` and ``get`` and compute nothing."""

from simplechrome_tk.widgets._perturbation_lab import PerturbationLab

__all__ = ["PerturbationLab"]
